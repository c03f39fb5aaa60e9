/* SPDX-License-Identifier: Apache-2.0 */
#include "app/model_spec.h"

#include "base/num.h"
#include "domain/model.h"

#include <limits.h>
#include <string.h>

void model_spec_fini(struct model_spec *spec)
{
    string_list_fini(&spec->parameters);
    string_list_fini(&spec->env);
    string_list_fini(&spec->categories);
    string_list_fini(&spec->selectors);
    string_list_fini(&spec->gpu_ids);
}

char *model_spec_default_name(const char *source)
{
    struct str rest = str_of(source);
    while (rest.len > 1 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    const char *slash = memrchr(rest.ptr, '/', rest.len);
    struct str base = slash ? str_skip(rest, (size_t)(slash - rest.ptr) + 1) : rest;
    if (str_has_suffix(base, STR(".gguf")))
        base.len -= 5;
    return str_dup(base);
}

/* ---- where the files are ---- */

static int from_path(const char *source, json_t **ret, struct err *err)
{
    static const char *const hubs[] = {"hf.co/", "huggingface:", "modelscope:", "ollama:", "http"};
    for (size_t i = 0; i < ARRAY_LEN(hubs); i++)
        if (strncmp(source, hubs[i], strlen(hubs[i])) == 0)
            return cli_usage(
                err, "the source must be a path, hf:OWNER/REPO[/FILE] or ms:OWNER/REPO[/FILE], not "
                     "\"%s\"", source);
    char real[PATH_MAX];
    /* The path need not be there on this machine, but a relative one means this folder. */
    const char *path = source[0] == '/' ? source : realpath(source, real);
    if (!path)
        return cli_usage(err, "there is no file %s here; name a path on the workers from /",
                         source);
    *ret = json_pack("{s:s,s:s}", "source", "local_path", "local_path", path);
    return 0;
}

/* "OWNER/REPO[/FILE]" behind the prefix. */
static int from_hub(const char *source, bool is_modelscope, json_t **ret, struct err *err)
{
    const char *place = source + 3;
    const char *slash = strchr(place, '/');
    if (!slash || slash == place || !slash[1] || slash[1] == '/')
        return cli_usage(err, "%.3s must be followed by OWNER/REPO or OWNER/REPO/FILE, not \"%s\"",
                         source, place);
    const char *end = strchr(slash + 1, '/');
    auto_free char *repo = end ? mem_strndup(place, (size_t)(end - place)) : mem_strdup(place);
    *ret = json_pack("{s:s,s:s}", "source", is_modelscope ? "model_scope" : "huggingface",
                     is_modelscope ? "model_scope_model_id" : "huggingface_repo_id", repo);
    if (end && end[1])
        json_object_set_new(*ret, is_modelscope ? "model_scope_file_path" : "huggingface_filename",
                            json_string(end + 1));
    return 0;
}

int model_spec_source(const char *source, json_t **ret, struct err *err)
{
    if (strncmp(source, "hf:", 3) == 0)
        return from_hub(source, false, ret, err);
    if (strncmp(source, "ms:", 3) == 0)
        return from_hub(source, true, ret, err);
    return from_path(source, ret, err);
}

/* ---- options ---- */

static int add_pairs(json_t *body, const char *key, const struct string_list *pairs,
                     const char *option, struct err *err)
{
    if (pairs->count == 0)
        return 0;
    json_t *map = json_object();
    json_object_set_new(body, key, map);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        if (!equals || equals == pairs->items[i])
            return cli_usage(err, "--%s must be KEY=VALUE, not \"%s\"", option, pairs->items[i]);
        auto_free char *name = mem_strndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
        json_object_set_new(map, name, json_string(equals + 1));
    }
    return 0;
}

static json_t *list_of(const struct string_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

static void add_list(json_t *body, const char *key, const struct string_list *list)
{
    if (list->count > 0)
        json_object_set_new(body, key, list_of(list));
}

static void add_text(json_t *body, const char *key, const char *text)
{
    if (text)
        json_object_set_new(body, key, json_string(text));
}

static int add_number(json_t *body, const char *key, const char *text, int64_t max,
                      struct err *err)
{
    int64_t number;
    if (!text)
        return 0;
    if (num_parse_i64(str_of(text), 0, max, &number) < 0)
        return cli_usage(err, "--%s must be 0-%lld, not %s", key, (long long)max, text);
    json_object_set_new(body, key, json_integer(number));
    return 0;
}

int model_spec_add(const struct model_spec *spec, json_t *body, struct err *err)
{
    add_text(body, "name", spec->name);
    add_text(body, "backend", spec->backend);
    add_text(body, "backend_version", spec->version);
    add_text(body, "placement_strategy", spec->strategy);
    add_list(body, "backend_parameters", &spec->parameters);
    add_list(body, "categories", &spec->categories);
    if (spec->gpu_ids.count > 0)
        json_object_set_new(body, "gpu_selector",
                            json_pack("{s:o}", "gpu_ids", list_of(&spec->gpu_ids)));
    json_object_set_new(body, "restart_on_error", json_boolean(!spec->no_restart));
    json_object_set_new(body, "replicas", json_integer(1));
    int rc = add_number(body, "replicas", spec->replicas, MODEL_REPLICAS_MAX, err);
    if (rc == 0)
        rc = add_number(body, "priority", spec->priority, MODEL_PRIORITY_MAX, err);
    if (rc == 0)
        rc = add_pairs(body, "env", &spec->env, "env", err);
    return rc < 0 ? rc
                  : add_pairs(body, "worker_selector", &spec->selectors, "worker-selector", err);
}
