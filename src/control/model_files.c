/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model_files.h"

#include "control/events.h"
#include "domain/reason.h"

/* ---- finding ---- */

bool model_files_can_fetch(const struct worker *worker)
{
    return worker->downloads;
}

static bool is_of_hub(const struct model *model)
{
    return model_source_is_hub((enum model_source)model->source);
}

struct model_file *model_files_find(const struct cluster *cluster, const struct model *model,
                                    const struct worker *worker)
{
    if (!worker->storage_id)
        return NULL;
    struct model_file probe = {.storage_id = worker->storage_id};
    model_file_take_source(&probe, model);
    auto_free char *key = model_file_key(&probe);
    probe.storage_id = NULL; /* it is the worker's */
    record_fini(&model_file_type, &probe);
    return cluster_file_by_key(cluster, key);
}

bool model_files_are_on(const struct cluster *cluster, const struct model *model,
                        const struct worker *worker)
{
    if (!is_of_hub(model) || !model_files_can_fetch(worker))
        return true;
    const struct model_file *file = model_files_find(cluster, model, worker);
    return file && file->state == MODEL_FILE_READY;
}

/* On the worker of a rank; one that was deleted lacks nothing, its instance goes. */
static bool are_on(const struct cluster *cluster, const struct model *model, int64_t worker_id)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    return !worker || model_files_are_on(cluster, model, worker);
}

bool model_files_are_ready(const struct cluster *cluster, const struct model_instance *instance)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    bool are_ready = !model || are_on(cluster, model, instance->worker_id);
    for (size_t i = 0; are_ready && model && i < instance->subordinate_worker_ids.count; i++)
        are_ready = are_on(cluster, model, instance->subordinate_worker_ids.items[i]);
    return are_ready;
}

bool model_files_hold(const struct cluster *cluster, const struct model_instance *instance)
{
    return instance->is_held ||
           (instance->state == INSTANCE_SCHEDULED && !model_files_are_ready(cluster, instance));
}

/* ---- where they are ---- */

static char *path_of(const struct model_file *file, const struct worker *worker)
{
    if (!file || !file->resolved_path || !worker->cache_dir)
        return NULL;
    return mem_printf("%s/%s", worker->cache_dir, file->resolved_path);
}

static char *copy_of(const char *text)
{
    return text && *text ? mem_strdup(text) : NULL;
}

char *model_files_path_on(const struct cluster *cluster, const struct model_instance *instance,
                          int64_t worker_id)
{
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    if (!model || !worker || !is_of_hub(model) || !model_files_can_fetch(worker))
        return NULL;
    bool is_outdated = instance->model_generation != model->generation;
    /* What was started keeps its files when the model has others by now, or the row has gone. */
    char *path = is_outdated ? copy_of(instance->resolved_path) : NULL;
    if (!path)
        path = path_of(model_files_find(cluster, model, worker), worker);
    return path ? path : copy_of(instance->resolved_path);
}

static const char *action_of(const struct model_file *file)
{
    if (file->state == MODEL_FILE_DELETING)
        return "delete";
    return file->is_paused ? "pause" : "download";
}

void model_files_write_wishes(const struct cluster *cluster, int64_t worker_id, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_array(&w);
    CLUSTER_FOR_EACH(cluster, KIND_MODEL_FILE, struct model_file, file) {
        const char *pattern = model_file_pattern(file);
        if (file->worker_id != worker_id)
            continue;
        json_begin_object(&w);
        json_put_int(&w, "id", file->id);
        json_put_int(&w, "lease", file->lease);
        json_add_key(&w, "source");
        record_write_field(record_field(&model_file_type, "source"), file, &w);
        json_put_string(&w, "repo_id", model_file_repo(file));
        json_put_string(&w, "file", pattern);
        json_put_string(&w, "action", action_of(file));
        json_end_object(&w);
    }
    json_end_array(&w);
}

/* ---- who uses them ---- */

/* Whether that rank of the instance has the file on its worker's storage. */
static bool is_used_on(const struct cluster *cluster, const struct model_file *file,
                       const struct model_instance *instance, int64_t worker_id)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    const struct model *model = cluster_find(cluster, KIND_MODEL, instance->model_id);
    if (!worker || !worker->storage_id || !model ||
        strcmp(worker->storage_id, file->storage_id) != 0)
        return false;
    if (model_file_is_of(file, model))
        return true;
    auto_free char *path = path_of(file, worker); /* what it was started with, by older settings */
    return path && instance->resolved_path && strcmp(path, instance->resolved_path) == 0;
}

bool model_files_is_used_by(const struct cluster *cluster, const struct model_file *file,
                            const struct model_instance *instance)
{
    bool is_used = is_used_on(cluster, file, instance, instance->worker_id);
    for (size_t i = 0; !is_used && i < instance->subordinate_worker_ids.count; i++)
        is_used = is_used_on(cluster, file, instance, instance->subordinate_worker_ids.items[i]);
    return is_used;
}

/* "hello, other", or NULL when nobody uses it. Returns owned. */
static char *users_of(const struct cluster *cluster, const struct model_file *file)
{
    struct buf names = {0};
    int64_t last_id = 0;
    CLUSTER_FOR_EACH(cluster, KIND_MODEL, struct model, model) {
        CLUSTER_FOR_KEY(&cluster->instances_of_model, model->id, struct model_instance, instance) {
            if (last_id == model->id || !model_files_is_used_by(cluster, file, instance))
                continue;
            buf_printf(&names, "%s%s", last_id ? ", " : "", model->name);
            last_id = model->id;
        }
    }
    return last_id ? buf_take(&names) : NULL;
}

/* ---- changes ---- */

void model_files_lend(struct model_file *copy, int64_t worker_id, int64_t now_ms)
{
    /* The clock: above what an earlier row of the same files had, which a worker that is out of
       sight may still hold. */
    int64_t now_s = now_ms / 1000;
    copy->lease = copy->lease < now_s ? now_s : copy->lease + 1;
    copy->worker_id = worker_id;
}

void model_files_forget(struct cluster *cluster, const struct model_file *file, int64_t now_ms,
                        const char *why)
{
    events_note(cluster, KIND_MODEL_FILE, file, EVENT_DELETED, NULL, now_ms, "%s", why);
    cluster_delete(cluster, KIND_MODEL_FILE, file->id);
}

static int check_worker(const struct worker *worker, int64_t worker_id, struct err *err)
{
    if (!worker)
        return err_set(err, ERR_INVALID, "worker_id: there is no worker with id %lld",
                       (long long)worker_id);
    if (!model_files_can_fetch(worker))
        return err_set(err, ERR_INVALID,
                       "worker_id: worker %s can't download; its version is %s, upgrade it",
                       worker->name, worker->worker_version ? worker->worker_version : "not known");
    if (worker->cache_error)
        return err_set(err, ERR_INVALID, "worker_id: worker %s can't keep files: %s", worker->name,
                       worker->cache_error);
    if (!worker->storage_id)
        return err_set(err, ERR_INVALID,
                       "worker_id: worker %s hasn't told of its storage yet; try again when it is "
                       "ready",
                       worker->name);
    return 0;
}

int model_files_ask(struct cluster *cluster, struct model_file *fresh, int64_t now_ms,
                    const struct model_file **ret, struct err *err)
{
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, fresh->worker_id);
    int rc = check_worker(worker, fresh->worker_id, err);
    if (rc < 0)
        return rc;
    mem_replace(&fresh->storage_id, worker->storage_id);
    free(fresh->key);
    fresh->key = model_file_key(fresh);
    const struct model_file *known = cluster_file_by_key(cluster, fresh->key);
    if (known)
        return err_set(err, ERR_EXISTS,
                       "worker %s has these files or is about to (model file %lld, %s)",
                       worker->name, (long long)known->id,
                       model_file_state_name((enum model_file_state)known->state));
    fresh->is_kept = true;
    model_files_lend(fresh, worker->id, now_ms);
    *ret = cluster_put(cluster, KIND_MODEL_FILE, fresh, now_ms);
    return 0;
}

static void clear_fault(struct model_file *copy)
{
    copy->state_reason = REASON_NONE;
    copy->retry_at = 0;
    mem_replace(&copy->state_args, NULL);
    mem_replace(&copy->state_message, NULL);
}

int model_files_set_paused(struct cluster *cluster, const struct model_file *file, bool is_paused,
                           int64_t now_ms, struct err *err)
{
    bool is_under_way = file->state < MODEL_FILE_READY || file->state == MODEL_FILE_ERROR;
    if (!is_under_way || file->is_paused == is_paused)
        return err_set(err, ERR_CONFLICT, "model file %lld is %s, there is nothing to %s",
                       (long long)file->id,
                       model_file_state_name((enum model_file_state)file->state),
                       is_paused ? "pause" : "resume");
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    copy.is_paused = is_paused;
    copy.state = is_paused ? MODEL_FILE_PAUSED : MODEL_FILE_WAITING;
    copy.bytes_per_second = copy.eta_s = 0;
    clear_fault(&copy);
    cluster_put(cluster, KIND_MODEL_FILE, &copy, now_ms);
    return 0;
}

int model_files_retry(struct cluster *cluster, const struct model_file *file, int64_t now_ms,
                      struct err *err)
{
    if (file->state == MODEL_FILE_READY || file->state == MODEL_FILE_DELETING)
        return err_set(err, ERR_CONFLICT, "model file %lld is %s, there is nothing to try again",
                       (long long)file->id,
                       model_file_state_name((enum model_file_state)file->state));
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    copy.is_paused = false;
    copy.state = MODEL_FILE_WAITING;
    clear_fault(&copy);
    /* A fresh lease is how the worker hears of it; parts are taken over. */
    model_files_lend(&copy, file->worker_id, now_ms);
    cluster_put(cluster, KIND_MODEL_FILE, &copy, now_ms);
    return 0;
}

int model_files_remove(struct cluster *cluster, const struct model_file *file, bool cleanup,
                       int64_t now_ms, struct err *err)
{
    auto_free char *users = users_of(cluster, file);
    if (users)
        return err_set(err, ERR_CONFLICT,
                       "instances of %s use model file %lld: stop or delete these models first",
                       users, (long long)file->id);
    if (!cleanup) {
        model_files_forget(cluster, file, now_ms, "forgotten; what is complete stays on the disk");
        return 0;
    }
    struct model_file copy = {0};
    record_copy(&model_file_type, &copy, file);
    copy.state = MODEL_FILE_DELETING;
    copy.is_paused = false;
    copy.bytes_per_second = copy.eta_s = 0;
    clear_fault(&copy);
    cluster_put(cluster, KIND_MODEL_FILE, &copy, now_ms);
    return 0;
}
