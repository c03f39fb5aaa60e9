/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inference backends: the built-in engine descriptions, in GPUStack's shape with members of ours.
 */
#include "api/api_priv.h"

struct backend_row {
    int64_t id;
    char *backend_name, *backend_source, *default_version, *default_run_command;
    char *health_check_path;
    struct string_list aliases, formats;
    struct string_map default_env;
    char *version_configs; /* JSON */
};

#define FIELD(member) FIELD_OF(struct backend_row, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID},
    {FIELD(backend_name), .kind = FIELD_STRING},
    {FIELD(backend_source), .kind = FIELD_STRING, .fallback = "\"built_in\""},
    {FIELD(default_version), .kind = FIELD_STRING},
    {FIELD(default_run_command), .kind = FIELD_STRING, .max = 64 << 10},
    {FIELD(health_check_path), .kind = FIELD_STRING},
    {FIELD(aliases), .kind = FIELD_STRINGS},
    {FIELD(formats), .kind = FIELD_STRINGS},
    {FIELD(default_env), .kind = FIELD_MAP},
    {FIELD(version_configs), .kind = FIELD_JSON, .fallback = "{}"},
};

static const struct record_type backend_type = {
    .noun = "inference-backend",
    .size = sizeof(struct backend_row),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

static const struct list_view backends_view = {.type = &backend_type};

/* A row per description that the role gave us. Owned, each owned. */
static void **read_rows(const struct request *rq, size_t *ret_count)
{
    auto_fini(json_release) json_t *all = NULL;
    if (json_read(str_of(rq->api->params.backends), &all, NULL) < 0)
        all = json_array();
    void **rows = mem_alloc_array(json_array_size(all), sizeof *rows);
    for (size_t i = 0; i < json_array_size(all); i++) {
        struct backend_row *row = rows[i] = mem_alloc(sizeof *row);
        if (record_read(&backend_type, row, json_array_get(all, i), RECORD_CREATE, NULL) < 0)
            record_init(&backend_type, row);
        row->id = (int64_t)i + 1;
    }
    *ret_count = json_array_size(all);
    return rows;
}

static void free_rows(void **rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record_fini(&backend_type, rows[i]);
        free(rows[i]);
    }
    free(rows);
}

int backends_list(struct request *rq, struct err *err)
{
    struct list_query query;
    int rc = list_read_unwatched(rq, &backends_view, &query, err);
    if (rc < 0)
        return rc;
    size_t count;
    void **rows = read_rows(rq, &count);
    list_write(rq, &backends_view, &query, rows, count);
    free_rows(rows, count);
    list_query_fini(&query);
    return 0;
}

int backends_get(struct request *rq, struct err *err)
{
    size_t count;
    void **rows = read_rows(rq, &count);
    int rc = err_set(err, ERR_NOT_FOUND, "there is no inference-backend with id %lld",
                     (long long)rq->id);
    if (rq->id <= (int64_t)count) {
        list_write_row(rq, &backends_view, rows[rq->id - 1], &rq->json);
        rc = 0;
    }
    free_rows(rows, count);
    return rc;
}
