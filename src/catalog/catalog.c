/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog.h"

#include "base/embed.h"

#include <assert.h>
#include <string.h>

extern const struct embedded_file catalog_files[];

/* "hf:REPO[/FILE]" of a spec's members, or NULL. Returns owned. */
static char *key_of(const char *prefix, const char *repository, const char *file)
{
    if (!repository)
        return NULL;
    return mem_printf("%s%s%s%s", prefix, repository, file ? "/" : "", file ? file : "");
}

/* The members of a spec but for what its shape is made of. Returns owned. */
static json_t *body_of(json_t *json)
{
    json_t *body = json_copy(json);
    json_object_del(body, "shape");
    return body;
}

static void read_spec(const struct catalog_set *set, json_t *json, struct catalog_spec *ret)
{
    *ret = (struct catalog_spec){
        .set = set,
        .id = json_member_int(json, "spec_id", 0),
        .hf_key = key_of("hf:", json_member_string(json, "huggingface_repo_id"),
                         json_member_string(json, "huggingface_filename")),
        .ms_key = key_of("ms:", json_member_string(json, "model_scope_model_id"),
                         json_member_string(json, "model_scope_file_path")),
        .precision = json_member_string(json, "quantization"),
        .body = body_of(json),
        .shape = json_object_get(json, "shape"),
        .device_types = json_object_get(json, "device_types"),
    };
    assert(ret->id > 0 && ret->precision && ret->shape && (ret->hf_key || ret->ms_key));
}

static void read_set(const json_t *json, struct catalog_set *ret)
{
    const json_t *specs = json_object_get(json, "specs");
    *ret = (struct catalog_set){
        .id = json_member_int(json, "id", 0),
        .name = json_member_string(json, "name"),
        .json = json,
        .parameter_count = (uint64_t)json_member_int(json, "parameter_count", 0),
        .spec_count = json_array_size(specs),
    };
    assert(ret->id > 0 && ret->name && ret->spec_count > 0);
    ret->specs = mem_alloc_array(ret->spec_count, sizeof *ret->specs);
    for (size_t i = 0; i < ret->spec_count; i++)
        read_spec(ret, json_array_get(specs, i), &ret->specs[i]);
}

struct catalog *catalog_new(void)
{
    struct catalog *catalog = mem_alloc(sizeof *catalog);
    const struct str text =
        str_sub((const char *)catalog_files[0].data, catalog_files[0].size);
    int rc = json_read(text, &catalog->root, NULL);
    assert(rc == 0);
    const json_t *sets = json_object_get(catalog->root, "sets");
    catalog->count = rc == 0 ? json_array_size(sets) : 0;
    catalog->sets = mem_alloc_array(catalog->count + 1, sizeof *catalog->sets);
    for (size_t i = 0; i < catalog->count; i++) {
        read_set(json_array_get(sets, i), &catalog->sets[i]);
        catalog->spec_count += catalog->sets[i].spec_count;
    }
    return catalog;
}

static void set_fini(struct catalog_set *set)
{
    for (size_t i = 0; i < set->spec_count; i++) {
        free(set->specs[i].hf_key);
        free(set->specs[i].ms_key);
        json_decref(set->specs[i].body);
    }
    free(set->specs);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < catalog->count; i++)
        set_fini(&catalog->sets[i]);
    free(catalog->sets);
    json_decref(catalog->root);
    free(catalog);
}

const struct catalog_set *catalog_set_by_id(const struct catalog *catalog, int64_t id)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->sets[i].id == id)
            return &catalog->sets[i];
    return NULL;
}

static bool has_key(const struct catalog_spec *spec, const char *key)
{
    return (spec->hf_key && strcmp(spec->hf_key, key) == 0) ||
           (spec->ms_key && strcmp(spec->ms_key, key) == 0);
}

const struct catalog_spec *catalog_find(const struct catalog *catalog, const char *key)
{
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t k = 0; k < catalog->sets[i].spec_count; k++)
            if (has_key(&catalog->sets[i].specs[k], key))
                return &catalog->sets[i].specs[k];
    return NULL;
}
