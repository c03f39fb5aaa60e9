/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog: models that come with the binary, the specs to deploy them by, and whether this
 * cluster could run them now (control/catalog_fit.h). Names are GPUStack's: doc/catalog.md.
 */
#include "api/api_priv.h"
#include "catalog/catalog.h"
#include "control/catalog_fit.h"
#include "http/message.h"

/* ---- filters ---- */

static bool holds_word(const json_t *set, struct str word)
{
    static const char *const keys[] = {"name", "title", "publisher", "description"};
    auto_free char *text = str_dup(word);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = json_member_string(set, keys[i]);
        if (value && strcasestr(value, text))
            return true;
    }
    return false;
}

/* Every word of the search stands somewhere. */
static bool matches(const struct catalog_set *set, const char *search)
{
    struct str rest = str_of(search ? search : ""), word;
    while (str_split(&rest, ' ', &word))
        if (word.len > 0 && !holds_word(set->json, word))
            return false;
    return true;
}

static bool is_of_category(const struct catalog_set *set, const char *category)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(set->json, "categories"), i, one)
        if (strcmp(json_string_value(one), category) == 0)
            return true;
    return false;
}

/* One of the categories that the query names, if it names any. */
static bool is_wanted(const struct request *rq, const struct catalog_set *set)
{
    struct str rest = http_exchange_head(rq->ex)->query;
    char *name, *value;
    bool names_any = false, is_one = false;
    while (http_query_next(&rest, &name, &value)) {
        if (strcmp(name, "categories") == 0 && *value) {
            names_any = true;
            is_one = is_one || is_of_category(set, value);
        }
        free(name);
        free(value);
    }
    return is_one || !names_any;
}

/* ---- sets and specs ---- */

static void write_specs(struct json_writer *w, const struct catalog_set *set)
{
    json_begin_array(w);
    for (size_t i = 0; i < set->spec_count; i++)
        json_add_tree(w, set->specs[i].body);
    json_end_array(w);
}

static void write_set(struct json_writer *w, const struct catalog_set *set)
{
    const char *key;
    json_t *value;
    json_begin_object(w);
    json_object_foreach((json_t *)(uintptr_t)set->json, key, value) {
        json_add_key(w, key);
        if (strcmp(key, "specs") == 0)
            write_specs(w, set);
        else
            json_add_tree(w, value);
    }
    json_end_object(w);
}

static void write_pagination(struct json_writer *w, size_t count)
{
    json_add_key(w, "pagination");
    json_begin_object(w);
    json_put_int(w, "page", 1);
    json_put_int(w, "perPage", (int64_t)count);
    json_put_int(w, "total", (int64_t)count);
    json_put_int(w, "totalPage", count > 0);
    json_end_object(w);
}

int model_sets_list(struct request *rq, struct err *err)
{
    const struct catalog *catalog = control_catalog(rq->control);
    struct json_writer *w = &rq->json;
    auto_free char *search = request_query(rq, "search");
    size_t count = 0;
    json_begin_object(w);
    json_add_key(w, "items");
    json_begin_array(w);
    for (size_t i = 0; i < catalog->count; i++) {
        if (!matches(&catalog->sets[i], search) || !is_wanted(rq, &catalog->sets[i]))
            continue;
        write_set(w, &catalog->sets[i]);
        count++;
    }
    json_end_array(w);
    write_pagination(w, count);
    json_end_object(w);
    return 0;
}

int model_sets_specs(struct request *rq, struct err *err)
{
    const struct catalog_set *set = catalog_set_by_id(control_catalog(rq->control), rq->id);
    if (!set)
        return err_set(err, ERR_NOT_FOUND, "there is no model set with id %lld in the catalog",
                       (long long)rq->id);
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    write_specs(&rq->json, set);
    write_pagination(&rq->json, set->spec_count);
    json_end_object(&rq->json);
    return 0;
}

/* ---- fit ---- */

static void write_reason(struct json_writer *w, const struct fit_row *row)
{
    json_add_key(w, "reason");
    if (row->fit != FIT_NO) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    json_put_string(w, "code", reason_name(row->reason));
    json_put_string(w, "filter",
                    row->reason == REASON_NO_WORKER_FITS ? place_refusal_name(row->refusal) : NULL);
    json_put_string(w, "message", row->message);
    json_end_object(w);
}

static void write_place(struct json_writer *w, const struct fit_row *row)
{
    const bool fits = row->fit != FIT_NO;
    json_put_string(w, "mode", fits ? place_mode_name(row->mode) : NULL);
    json_put_string(w, "engine", row->engine);
    json_put_int(w, "tensor_parallel", row->tensor_parallel);
    json_put_int(w, "pipeline_parallel", row->pipeline_parallel);
    json_put_int(w, "context_length", (int64_t)row->context_length);
    json_put_int(w, "workers", row->workers);
    json_put_int(w, "devices", row->devices);
    json_put_int(w, "replicas", row->replicas);
    json_add_key(w, "resource_claim");
    if (!fits) {
        json_add_null(w);
        return;
    }
    json_begin_object(w);
    json_put_int(w, "ram", (int64_t)row->ram_bytes);
    json_put_int(w, "vram", (int64_t)row->vram_bytes);
    json_end_object(w);
}

static void write_row(struct json_writer *w, const struct fit_row *row)
{
    json_begin_object(w);
    json_put_int(w, "set_id", row->spec->set->id);
    json_put_int(w, "spec_id", row->spec->id);
    json_put_string(w, "name", row->spec->set->name);
    json_put_string(w, "quantization", row->spec->precision);
    json_put_string(w, "fit", fit_name(row->fit));
    json_put_bool(w, "fits_empty_cluster", row->fits_empty_cluster);
    json_put_string(w, "known", row->is_stated ? "catalog" : "yes");
    write_reason(w, row);
    write_place(w, row);
    json_end_object(w);
}

static void write_fit(struct request *rq)
{
    size_t count;
    const struct fit_row *rows = catalog_fit_rows(control_catalog_fit(rq->control), &count);
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "items");
    json_begin_array(&rq->json);
    for (size_t i = 0; i < count; i++)
        write_row(&rq->json, &rows[i]);
    json_end_array(&rq->json);
    json_end_object(&rq->json);
}

static void on_rows(void *ctx)
{
    struct request *rq = ctx;
    if (rq->ex) /* else the client has left, or control ends */
        write_fit(rq);
    request_finish_read(rq, 0, NULL);
}

int model_sets_fit(struct request *rq, struct err *err)
{
    struct catalog_fit *fit = control_catalog_fit(rq->control);
    if (catalog_fit_is_fresh(fit)) {
        write_fit(rq);
        return 0;
    }
    request_hold(rq);
    catalog_fit_await(fit, on_rows, rq);
    return REQUEST_PENDING;
}
