/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files: for each path that models use or that was asked about lately, what each worker has
 * said of it. In GPUStack's shape with members of ours.
 */
#include "api/api_priv.h"

#include "base/crc32c.h"
#include "control/shape_answers.h"

enum { WORKER_BITS = 20 };

struct file_row {
    int64_t id; /* made of path and worker, so that it stays */
    int source; /* always 0: hubs' files aren't on workers yet */
    char *local_path;
    int64_t worker_id;
    char *worker_name;
    int64_t size;
    int64_t download_progress;
    struct string_list resolved_paths;
    int state; /* enum answer_state */
    char *state_message, *identity;
    char *models, *storage; /* JSON */
};

static const char *const source_names[] = {"local_path"};

#define FIELD(member) FIELD_OF(struct file_row, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID},
    {FIELD(source), .kind = FIELD_ENUM, .names = source_names, .name_count = 1},
    {FIELD(local_path), .kind = FIELD_STRING},
    {FIELD(worker_id), .kind = FIELD_INT, .max = INT64_MAX},
    {FIELD(worker_name), .kind = FIELD_STRING},
    {FIELD(size), .kind = FIELD_INT, .flags = FIELD_NULLABLE, .max = INT64_MAX},
    {FIELD(download_progress), .kind = FIELD_INT, .flags = FIELD_NULLABLE, .max = 100},
    {FIELD(resolved_paths), .kind = FIELD_STRINGS},
    {FIELD(state), .kind = FIELD_ENUM, .names = answer_state_names,
     .name_count = ANSWER_STATE_COUNT},
    {FIELD(state_message), .kind = FIELD_STRING},
    {FIELD(identity), .kind = FIELD_STRING},
    {FIELD(models), .kind = FIELD_JSON},
    {FIELD(storage), .kind = FIELD_JSON},
};

static const struct record_type file_type = {
    .noun = "model-file",
    .size = sizeof(struct file_row),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

static const struct list_view view = {.type = &file_type};

struct file_rows {
    void **items; /* struct file_row, owned */
    size_t count, cap;
};

/* The cluster's models whose files these are: [{"id":1,"name":"hello"}]. Owned. */
static char *users_of(const struct cluster *cluster, const char *path)
{
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_array(&w);
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        if (model->source != MODEL_LOCAL_PATH || !str_eq(str_of(model->local_path), str_of(path)))
            continue;
        json_begin_object(&w);
        json_put_int(&w, "id", model->id);
        json_put_string(&w, "name", model->name);
        json_end_object(&w);
    }
    json_end_array(&w);
    return buf_take(&out);
}

static char *copy(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

static void add_row(struct file_rows *rows, const struct worker *worker, const char *path,
                    const struct shape_answer *answer, const char *models)
{
    struct file_row *row = mem_alloc(sizeof *row);
    bool is_there = shape_answer_is_there(answer);
    *row = (struct file_row){
        .id = ((int64_t)crc32c_of(str_of(path)) << WORKER_BITS) |
              (worker->id & ((1 << WORKER_BITS) - 1)),
        .local_path = mem_strdup(path),
        .worker_id = worker->id,
        .worker_name = copy(worker->name),
        .size = is_there ? answer->bytes : 0,
        .download_progress = is_there ? 100 : 0,
        .state = (int)answer->state,
        .state_message = copy(answer->message),
        .identity = copy(answer->identity),
        .models = mem_strdup(models),
        .storage = copy(answer->storage),
    };
    if (is_there)
        string_list_add(&row->resolved_paths, path);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 16;
        rows->items = mem_resize(rows->items, rows->cap * sizeof *rows->items);
    }
    rows->items[rows->count++] = row;
}

static void add_rows_of(struct file_rows *rows, const struct cluster *cluster,
                        const struct shape_entry *entry)
{
    const struct shape_answers *answers = shapes_answers_of(entry);
    const char *path = entry->key + strlen("path:");
    auto_free char *models = users_of(cluster, path);
    for (size_t i = 0; i < answers->count; i++) {
        const struct worker *worker =
            cluster_find(cluster, KIND_WORKER, answers->items[i].worker_id);
        if (worker)
            add_row(rows, worker, path, &answers->items[i], models);
    }
}

static int compare_ids(const void *a, const void *b)
{
    const struct file_row *const *one = a, *const *other = b;
    return ((*one)->id > (*other)->id) - ((*one)->id < (*other)->id);
}

static void rows_read(struct request *rq, struct file_rows *ret)
{
    size_t count;
    auto_free const struct shape_entry **entries =
        shapes_list(control_shapes(rq->control), &count);
    for (size_t i = 0; i < count; i++)
        if (entries[i]->is_local)
            add_rows_of(ret, rq->cluster, entries[i]);
    if (ret->count)
        qsort(ret->items, ret->count, sizeof *ret->items, compare_ids);
}

static void rows_fini(struct file_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        record_fini(&file_type, rows->items[i]);
        free(rows->items[i]);
    }
    free(rows->items);
}

int model_files_list(struct request *rq, struct err *err)
{
    struct list_query query;
    struct file_rows rows = {0};
    int rc = list_read_unwatched(rq, &view, &query, err);
    if (rc < 0)
        return rc;
    rows_read(rq, &rows);
    list_write(rq, &view, &query, rows.items, rows.count);
    rows_fini(&rows);
    list_query_fini(&query);
    return 0;
}
