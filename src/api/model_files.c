/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model files: what workers have downloaded or are downloading, and for each local path that models
 * use or that was asked about lately, what each worker has said of it. GPUStack's names with
 * members of ours.
 */
#include "api/api_priv.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "control/model_files.h"
#include "control/shape_answers.h"

enum { WORKER_BITS = 20 };

static const struct list_view view = {.kind = KIND_MODEL_FILE};

/* ---- rows of local paths: they are no records ---- */

struct path_rows {
    void **items; /* struct model_file, owned */
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

static enum model_file_state state_of(enum answer_state state)
{
    switch (state) {
    case ANSWER_PRESENT:
        return MODEL_FILE_PRESENT;
    case ANSWER_MISSING:
        return MODEL_FILE_MISSING;
    case ANSWER_UNREADABLE:
        return MODEL_FILE_UNREADABLE;
    case ANSWER_FORBIDDEN:
    case ANSWER_STATE_COUNT:
        break;
    }
    return MODEL_FILE_FORBIDDEN;
}

static void add_row(struct path_rows *rows, const struct worker *worker, const char *path,
                    const struct shape_answer *answer, const char *models)
{
    struct model_file *row = mem_alloc(sizeof *row);
    bool is_there = shape_answer_is_there(answer);
    *row = (struct model_file){
        .id = ((int64_t)crc32c_of(str_of(path)) << WORKER_BITS) |
              (worker->id & ((1 << WORKER_BITS) - 1)),
        .source = MODEL_LOCAL_PATH,
        .local_path = mem_strdup(path),
        .worker_id = worker->id,
        .worker_name = copy(worker->name),
        .size = is_there ? answer->bytes : 0,
        .downloaded = is_there ? answer->bytes : 0,
        .download_progress = is_there ? 100 : 0,
        .state = (int)state_of(answer->state),
        .state_message = copy(answer->message),
        .identity = copy(answer->identity),
        .models = mem_strdup(models),
        .storage = copy(answer->storage),
    };
    int_list_add(&row->worker_ids, worker->id);
    if (is_there)
        string_list_add(&row->resolved_paths, path);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 16;
        rows->items = mem_resize(rows->items, rows->cap * sizeof *rows->items);
    }
    rows->items[rows->count++] = row;
}

static void add_rows_of(struct path_rows *rows, const struct cluster *cluster,
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
    const struct model_file *const *one = a, *const *other = b;
    return ((*one)->id > (*other)->id) - ((*one)->id < (*other)->id);
}

static void rows_read(struct request *rq, struct path_rows *ret)
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

static void rows_fini(struct path_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        record_fini(&model_file_type, rows->items[i]);
        free(rows->items[i]);
    }
    free(rows->items);
}

/* The row with the request's id, borrowed from `rows`, or NULL. */
static const struct model_file *row_of(const struct request *rq, const struct path_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (record_id(rows->items[i]) == rq->id)
            return rows->items[i];
    return NULL;
}

/* ---- reading ---- */

int model_files_list(struct request *rq, struct err *err)
{
    struct list_query query;
    int rc = list_read_query(rq, &view, &query, err);
    if (rc < 0)
        return rc;
    if (query.watch)
        return list_watch(rq, &view, &query, err);
    const struct table *table = &rq->cluster->tables[KIND_MODEL_FILE];
    struct path_rows paths = {0};
    rows_read(rq, &paths);
    auto_free void **all = mem_alloc_array(table->count + paths.count + 1, sizeof *all);
    for (size_t i = 0; i < table->count; i++)
        all[i] = table->rows[i];
    for (size_t i = 0; i < paths.count; i++)
        all[table->count + i] = paths.items[i];
    list_write(rq, &view, &query, all, table->count + paths.count);
    rows_fini(&paths);
    list_query_fini(&query);
    return 0;
}

int model_files_get(struct request *rq, struct err *err)
{
    const struct model_file *file = cluster_find(rq->cluster, KIND_MODEL_FILE, rq->id);
    struct path_rows paths = {0};
    rows_read(rq, &paths);
    if (!file)
        file = row_of(rq, &paths);
    if (file)
        record_write(&model_file_type, file, &rq->json);
    rows_fini(&paths);
    return file ? 0 : no_such(rq, KIND_MODEL_FILE, err);
}

/* ---- changing ---- */

/* The download that the request means; local paths are nobody's but their owner's. */
static int find_download(struct request *rq, const struct model_file **ret, struct err *err)
{
    *ret = cluster_find(rq->cluster, KIND_MODEL_FILE, rq->id);
    if (*ret)
        return 0;
    struct path_rows paths = {0};
    rows_read(rq, &paths);
    const struct model_file *path = row_of(rq, &paths);
    int rc = path ? err_set(err, ERR_CONFLICT,
                            "%s on worker %s was not downloaded by gpustack, which never changes "
                            "or deletes it",
                            path->local_path, path->worker_name)
                  : no_such(rq, KIND_MODEL_FILE, err);
    rows_fini(&paths);
    return rc;
}

int model_files_create(struct request *rq, struct err *err)
{
    struct model_file fresh = {0};
    const struct model_file *file = NULL;
    int rc = record_read(&model_file_type, &fresh, rq->body, RECORD_CREATE, err);
    if (rc == 0)
        rc = model_file_validate(&fresh, err);
    if (rc == 0)
        rc = model_files_ask(rq->cluster, &fresh, control_now_ms(rq->control), &file, err);
    if (rc == 0)
        record_write(&model_file_type, file, &rq->json);
    record_fini(&model_file_type, &fresh);
    return rc;
}

static int answer(struct request *rq, int rc)
{
    if (rc == 0)
        record_write(&model_file_type, cluster_find(rq->cluster, KIND_MODEL_FILE, rq->id),
                     &rq->json);
    return rc;
}

static int set_paused(struct request *rq, bool is_paused, struct err *err)
{
    const struct model_file *file;
    int rc = find_download(rq, &file, err);
    if (rc == 0)
        rc = model_files_set_paused(rq->cluster, file, is_paused, control_now_ms(rq->control), err);
    return answer(rq, rc);
}

int model_files_pause(struct request *rq, struct err *err)
{
    return set_paused(rq, true, err);
}

int model_files_resume(struct request *rq, struct err *err)
{
    return set_paused(rq, false, err);
}

int model_files_reset(struct request *rq, struct err *err)
{
    const struct model_file *file;
    int rc = find_download(rq, &file, err);
    if (rc == 0)
        rc = model_files_retry(rq->cluster, file, control_now_ms(rq->control), err);
    return answer(rq, rc);
}

int model_files_delete(struct request *rq, struct err *err)
{
    const struct model_file *file;
    bool cleanup = false;
    int rc = request_query_bool(rq, "cleanup", false, &cleanup, err);
    if (rc == 0)
        rc = find_download(rq, &file, err);
    if (rc == 0)
        log_info("model-file", "%s: to be deleted%s", file->key, cleanup ? ", its files too" : "");
    if (rc == 0)
        rc = model_files_remove(rq->cluster, file, cleanup, control_now_ms(rq->control), err);
    if (rc == 0)
        json_add_null(&rq->json);
    return rc;
}
