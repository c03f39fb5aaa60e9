/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/model.h"

#include "domain/model_priv.h"

static const char *const source_names[] = {
    [MODEL_HUGGINGFACE] = "huggingface",
    [MODEL_MODEL_SCOPE] = "model_scope",
    [MODEL_LOCAL_PATH] = "local_path",
};

static const char *const placement_names[] = {
    [PLACEMENT_SPREAD] = "spread", [PLACEMENT_BINPACK] = "binpack", [PLACEMENT_AUTO] = "auto"};

static const char *const access_names[] = {
    [MODEL_ACCESS_AUTHED] = "authed",
    [MODEL_ACCESS_PUBLIC] = "public",
    [MODEL_ACCESS_ALLOWED_PRINCIPALS] = "allowed_principals",
};

#define FIELD(member) FIELD_OF(struct model, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED, .max = MODEL_NAME_MAX},
    {FIELD(description), .kind = FIELD_STRING},
    {FIELD(source), .kind = FIELD_ENUM, .flags = FIELD_REQUIRED | FIELD_SETTING,
     .names = source_names, .name_count = MODEL_SOURCE_COUNT},
    {FIELD(local_path), .kind = FIELD_STRING, .flags = FIELD_SETTING},
    {FIELD(huggingface_repo_id), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 512},
    {FIELD(huggingface_filename), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 512},
    {FIELD(model_scope_model_id), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 512},
    {FIELD(model_scope_file_path), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 512},
    {FIELD(replicas), .kind = FIELD_INT, .max = MODEL_REPLICAS_MAX, .fallback = "1"},
    {FIELD(ready_replicas), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT,
     .max = INT64_MAX},
    {FIELD(categories), .kind = FIELD_STRINGS, .max = 16},
    {FIELD(placement_strategy), .kind = FIELD_ENUM, .names = placement_names,
     .name_count = PLACEMENT_COUNT, .fallback = "\"auto\""},
    {FIELD(priority), .kind = FIELD_INT, .max = MODEL_PRIORITY_MAX},
    {FIELD(worker_selector), .kind = FIELD_MAP, .flags = FIELD_SETTING, .max = 64},
    {FIELD(gpu_selector), .kind = FIELD_JSON, .flags = FIELD_SETTING},
    {FIELD(backend), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 128},
    {FIELD(backend_version), .kind = FIELD_STRING, .flags = FIELD_SETTING, .max = 128},
    {FIELD(backend_parameters), .kind = FIELD_STRINGS, .flags = FIELD_SETTING, .max = 256},
    {FIELD(env), .kind = FIELD_MAP, .flags = FIELD_SETTING, .max = 256},
    {FIELD(cpu_offloading), .kind = FIELD_BOOL, .flags = FIELD_SETTING, .fallback = "true"},
    {FIELD(distributed_inference_across_workers), .kind = FIELD_BOOL, .flags = FIELD_SETTING,
     .fallback = "true"},
    {FIELD(restart_on_error), .kind = FIELD_BOOL, .fallback = "true"},
    {FIELD(max_restarts), .kind = FIELD_INT, .max = MODEL_RESTARTS_MAX},
    {FIELD(meta), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(generation), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(image_name), .kind = FIELD_STRING, .max = 512},
    {FIELD(run_command), .kind = FIELD_STRING},
    {FIELD(access_policy), .kind = FIELD_ENUM, .names = access_names,
     .name_count = MODEL_ACCESS_COUNT, .fallback = "\"authed\""},
    {FIELD(generic_proxy), .kind = FIELD_BOOL},
    {FIELD(first_byte_timeout), .kind = FIELD_INT, .max = MODEL_FIRST_BYTE_S_MAX},
    LIMITS_FIELDS(struct model),
    {FIELD(distributable), .kind = FIELD_BOOL, .flags = FIELD_READ_ONLY | FIELD_TRANSIENT},
    {FIELD(extended_kv_cache), .kind = FIELD_JSON},
    {FIELD(speculative_config), .kind = FIELD_JSON},
    {FIELD(lora_list), .kind = FIELD_JSON},
    {FIELD(scaling_schedule), .kind = FIELD_JSON},
    {FIELD(stopped_replicas), .kind = FIELD_INT, .flags = FIELD_READ_ONLY,
     .max = MODEL_REPLICAS_MAX},
    {FIELD(version), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX,
     .fallback = "1"},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_type = {
    .noun = "model",
    .table = "models",
    .size = sizeof(struct model),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

/* ---- validation ---- */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *name)
{
    if (!name || !is_alphanumeric(name[0]))
        return false;
    size_t n = 0;
    for (; name[n]; n++)
        if (!is_alphanumeric(name[n]) && !strchr("._-:/", name[n]))
            return false;
    return n <= MODEL_NAME_MAX;
}

static bool is_given(const char *text)
{
    return text && *text;
}

static void check_source(const struct model *model, struct faults *faults)
{
    switch ((enum model_source)model->source) {
    case MODEL_HUGGINGFACE:
        if (!is_given(model->huggingface_repo_id))
            faults_add(faults, "huggingface_repo_id", "must be given for source huggingface");
        break;
    case MODEL_MODEL_SCOPE:
        if (!is_given(model->model_scope_model_id))
            faults_add(faults, "model_scope_model_id", "must be given for source model_scope");
        break;
    case MODEL_LOCAL_PATH:
        if (!is_given(model->local_path) || model->local_path[0] != '/')
            faults_add(faults, "local_path",
                       "must be given for source local_path and begin with \"/\"");
        break;
    case MODEL_SOURCE_COUNT:
        break;
    }
}

/* Whether `parameter` is `flag`, "flag=value" or "flag value". */
static bool is_flag(const char *parameter, const char *flag)
{
    struct str text = str_trim(str_of(parameter));
    if (!str_has_prefix(text, str_of(flag)))
        return false;
    struct str rest = str_skip(text, strlen(flag));
    return rest.len == 0 || strchr("= \t", rest.ptr[0]);
}

static void check_parameters(const struct string_list *parameters, struct faults *faults)
{
    static const char *const ours[] = {"--port", "--host"};
    for (size_t i = 0; i < parameters->count; i++)
        for (size_t k = 0; k < ARRAY_LEN(ours); k++)
            if (is_flag(parameters->items[i], ours[k]))
                faults_add(faults, "backend_parameters", "must not contain %s: gpustack sets it",
                           ours[k]);
}

/* An environment entry is "KEY=VALUE" for the engine: a key with '=' would set another variable. */
static void check_env(const struct string_map *env, struct faults *faults)
{
    for (size_t i = 0; i < env->count; i++)
        if (strchr(env->keys[i], '='))
            faults_add(faults, "env", "must not have \"=\" in a name: \"%.48s\"", env->keys[i]);
}

static bool is_list_of_strings(const json_t *list)
{
    bool ok = json_is_array(list);
    for (size_t i = 0; ok && i < json_array_size(list); i++)
        ok = json_is_string(json_array_get(list, i));
    return ok;
}

static void check_gpu_selector(const char *selector, struct faults *faults)
{
    if (!selector)
        return;
    auto_fini(json_release) json_t *root = NULL;
    const json_t *ids = NULL;
    if (json_read(str_of(selector), &root, NULL) == 0)
        ids = json_object_get(root, "gpu_ids");
    bool is_open = json_is_object(root) && (!ids || json_is_null(ids)); /* any device will do */
    if (!is_open && !is_list_of_strings(ids))
        faults_add(faults, "gpu_selector",
                   "must be {\"gpu_ids\": [\"worker:type:index\", ...], \"gpus_per_replica\": N}");
    const json_t *count = json_object_get(root, "gpus_per_replica");
    if (count && !json_is_null(count) &&
        (!json_is_integer(count) || json_integer_value(count) < 1 ||
         json_integer_value(count) > MODEL_DEVICES_MAX))
        faults_add(faults, "gpu_selector", "must have 1-%d as gpus_per_replica", MODEL_DEVICES_MAX);
}

void model_check_name(const char *name, struct faults *faults)
{
    if (!is_name(name))
        faults_add(faults, "name",
                   "must be 1-128 letters, digits or . _ - : / and begin with a letter or digit");
}

int model_validate(const struct model *model, struct err *err)
{
    struct faults faults = {0};
    model_check_name(model->name, &faults);
    check_source(model, &faults);
    check_parameters(&model->backend_parameters, &faults);
    check_env(&model->env, &faults);
    check_gpu_selector(model->gpu_selector, &faults);
    model_check_extras(model, &faults);
    return faults_finish(&faults, err);
}

bool model_is_setting(const struct field *field)
{
    return field->flags & FIELD_SETTING;
}

bool model_needs_restart(const struct model *before, const struct model *after)
{
    for (unsigned i = 0; i < model_type.field_count; i++)
        if (model_is_setting(&fields[i]) && !record_field_is_equal(&fields[i], before, after))
            return true;
    return false;
}
