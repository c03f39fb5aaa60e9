/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/model_file.h"

#include "domain/faults.h"
#include "domain/reason.h"

#include <assert.h>
#include <errno.h>

static const char *const state_names[] = {
    [MODEL_FILE_WAITING] = "waiting",
    [MODEL_FILE_LISTING] = "listing",
    [MODEL_FILE_DOWNLOADING] = "downloading",
    [MODEL_FILE_VERIFYING] = "verifying",
    [MODEL_FILE_PAUSED] = "paused",
    [MODEL_FILE_READY] = "ready",
    [MODEL_FILE_ERROR] = "error",
    [MODEL_FILE_DELETING] = "deleting",
    [MODEL_FILE_PRESENT] = "present",
    [MODEL_FILE_MISSING] = "missing",
    [MODEL_FILE_UNREADABLE] = "unreadable",
    [MODEL_FILE_FORBIDDEN] = "forbidden",
};

static_assert(ARRAY_LEN(state_names) == MODEL_FILE_STATE_COUNT, "every state has a name");

static const char *const source_names[] = {
    [MODEL_HUGGINGFACE] = "huggingface",
    [MODEL_MODEL_SCOPE] = "model_scope",
    [MODEL_LOCAL_PATH] = "local_path",
};

static_assert(ARRAY_LEN(source_names) == MODEL_SOURCE_COUNT, "every source has a name");

#define FIELD(member) FIELD_OF(struct model_file, member)
#define OBSERVED (FIELD_READ_ONLY | FIELD_TRANSIENT)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(key), .kind = FIELD_STRING, .flags = FIELD_SECRET, .max = MODEL_FILE_KEY_MAX},
    {FIELD(source), .kind = FIELD_ENUM, .flags = FIELD_REQUIRED | FIELD_CREATE_ONLY,
     .names = source_names, .name_count = MODEL_SOURCE_COUNT},
    {FIELD(huggingface_repo_id), .kind = FIELD_STRING, .max = 512},
    {FIELD(huggingface_filename), .kind = FIELD_STRING, .max = 512},
    {FIELD(model_scope_model_id), .kind = FIELD_STRING, .max = 512},
    {FIELD(model_scope_file_path), .kind = FIELD_STRING, .max = 512},
    {FIELD(local_path), .kind = FIELD_STRING, .flags = OBSERVED},
    {FIELD(storage_id), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 64},
    {FIELD(worker_id), .kind = FIELD_INT, .flags = FIELD_REQUIRED | FIELD_CREATE_ONLY,
     .max = INT64_MAX},
    {FIELD(lease), .kind = FIELD_INT, .flags = FIELD_SECRET, .max = INT64_MAX},
    {FIELD(is_paused), .kind = FIELD_BOOL, .flags = FIELD_SECRET},
    {FIELD(is_kept), .kind = FIELD_BOOL, .flags = FIELD_SECRET},
    {FIELD(state), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = state_names,
     .name_count = MODEL_FILE_STATE_COUNT},
    {FIELD(state_reason), .kind = FIELD_ENUM, .flags = FIELD_READ_ONLY, .names = reason_names,
     .name_count = REASON_COUNT},
    {FIELD(state_args), .kind = FIELD_JSON, .flags = FIELD_READ_ONLY},
    {FIELD(state_message), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 16 << 10},
    {FIELD(size), .kind = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_NULLABLE, .max = INT64_MAX},
    {FIELD(file_count), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX},
    {FIELD(revision), .kind = FIELD_STRING, .flags = FIELD_READ_ONLY, .max = 128},
    {FIELD(resolved_path), .kind = FIELD_STRING, .flags = FIELD_SECRET},
    {FIELD(worker_name), .kind = FIELD_STRING, .flags = OBSERVED, .max = 256},
    {FIELD(worker_ids), .kind = FIELD_INTS, .flags = OBSERVED},
    {FIELD(downloaded), .kind = FIELD_INT, .flags = OBSERVED, .max = INT64_MAX},
    {FIELD(download_progress), .kind = FIELD_DOUBLE, .flags = OBSERVED, .max = 100},
    {FIELD(bytes_per_second), .kind = FIELD_INT, .flags = OBSERVED, .max = INT64_MAX},
    {FIELD(eta_s), .kind = FIELD_INT, .flags = OBSERVED | FIELD_NULLABLE, .max = INT64_MAX},
    {FIELD(files_ready), .kind = FIELD_INT, .flags = OBSERVED, .max = INT64_MAX},
    {FIELD(files), .kind = FIELD_JSON, .flags = OBSERVED},
    {FIELD(retry_at), .kind = FIELD_TIME, .flags = OBSERVED},
    {FIELD(resolved_paths), .kind = FIELD_STRINGS, .flags = OBSERVED},
    {FIELD(models), .kind = FIELD_JSON, .flags = OBSERVED},
    {FIELD(storage), .kind = FIELD_JSON, .flags = OBSERVED},
    {FIELD(identity), .kind = FIELD_STRING, .flags = OBSERVED},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_file_type = {
    .noun = "model-file",
    .table = "model_files",
    .size = sizeof(struct model_file),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

const char *model_file_state_name(enum model_file_state state)
{
    assert(state < MODEL_FILE_STATE_COUNT);
    return state_names[state];
}

int model_file_state_parse(const char *name, enum model_file_state *ret)
{
    for (unsigned i = 0; i <= MODEL_FILE_DELETING; i++)
        if (strcmp(state_names[i], name) == 0) {
            *ret = (enum model_file_state)i;
            return 0;
        }
    return -EINVAL;
}

bool model_source_is_hub(enum model_source source)
{
    return source == MODEL_HUGGINGFACE || source == MODEL_MODEL_SCOPE;
}

const char *model_file_repo(const struct model_file *file)
{
    return file->source == MODEL_HUGGINGFACE ? file->huggingface_repo_id
                                             : file->model_scope_model_id;
}

const char *model_file_pattern(const struct model_file *file)
{
    const char *pattern = file->source == MODEL_HUGGINGFACE ? file->huggingface_filename
                                                            : file->model_scope_file_path;
    return pattern && *pattern ? pattern : NULL;
}

char *model_file_key(const struct model_file *file)
{
    const char *repo = model_file_repo(file), *pattern = model_file_pattern(file);
    return mem_printf("%s:%s%s%s on %s", file->source == MODEL_HUGGINGFACE ? "hf" : "ms",
                      repo ? repo : "", pattern ? "/" : "", pattern ? pattern : "",
                      file->storage_id ? file->storage_id : "");
}

void model_file_take_source(struct model_file *file, const struct model *model)
{
    bool is_huggingface = model->source == MODEL_HUGGINGFACE;
    file->source = model->source;
    mem_replace(&file->huggingface_repo_id, is_huggingface ? model->huggingface_repo_id : NULL);
    mem_replace(&file->huggingface_filename, is_huggingface ? model->huggingface_filename : NULL);
    mem_replace(&file->model_scope_model_id, is_huggingface ? NULL : model->model_scope_model_id);
    mem_replace(&file->model_scope_file_path, is_huggingface ? NULL : model->model_scope_file_path);
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool model_file_is_of(const struct model_file *file, const struct model *model)
{
    bool is_huggingface = model->source == MODEL_HUGGINGFACE;
    const char *repo = is_huggingface ? model->huggingface_repo_id : model->model_scope_model_id;
    const char *pattern =
        is_huggingface ? model->huggingface_filename : model->model_scope_file_path;
    return model_source_is_hub((enum model_source)model->source) && file->source == model->source &&
           is_same(model_file_repo(file), repo) && is_same(model_file_pattern(file), pattern);
}

char *model_file_title(const struct model_file *file)
{
    const char *repo = model_file_repo(file), *pattern = model_file_pattern(file);
    return mem_printf("%s%s%s", repo ? repo : "", pattern ? ", " : "", pattern ? pattern : "");
}

/* "OWNER/NAME" of characters that a hub allows; neither part begins with a dot. */
static bool is_repo(const char *text)
{
    size_t slashes = 0;
    if (!text || *text == '/' || *text == '.')
        return false;
    for (const char *at = text; *at; at++) {
        bool is_plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                        (*at >= '0' && *at <= '9') || *at == '-' || *at == '_' || *at == '.';
        if (!is_plain && *at != '/')
            return false;
        slashes += *at == '/';
        if (*at == '/' && (at[1] == '\0' || at[1] == '.' || at[1] == '/'))
            return false;
    }
    return slashes == 1;
}

static bool is_pattern(const char *text)
{
    return *text != '/' && !strstr(text, "..");
}

int model_file_validate(const struct model_file *file, struct err *err)
{
    bool is_huggingface = file->source == MODEL_HUGGINGFACE;
    struct faults faults = {0};
    const char *pattern = model_file_pattern(file);
    if (!model_source_is_hub((enum model_source)file->source))
        faults_add(&faults, "source",
                   "must be huggingface or model_scope; files of local paths are not fetched");
    else if (!is_repo(model_file_repo(file)))
        faults_add(&faults, is_huggingface ? "huggingface_repo_id" : "model_scope_model_id",
                   "must be OWNER/NAME");
    if (model_source_is_hub((enum model_source)file->source) && pattern && !is_pattern(pattern))
        faults_add(&faults, is_huggingface ? "huggingface_filename" : "model_scope_file_path",
                   "must be a name or pattern below the repository, without \"..\"");
    return faults_finish(&faults, err);
}
