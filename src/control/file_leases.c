/* SPDX-License-Identifier: Apache-2.0 */
#include "control/file_leases.h"

#include "control/model_files.h"
#include "domain/reason.h"

static bool sees(const struct worker *worker, const struct model_file *file)
{
    return worker->storage_id && strcmp(worker->storage_id, file->storage_id) == 0;
}

bool file_leases_has_storage(const struct cluster *cluster, const char *storage_id)
{
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        if (worker->storage_id && strcmp(worker->storage_id, storage_id) == 0)
            return true;
    }
    return false;
}

/* Whether it could fetch now. */
static bool can_work(const struct worker *worker, const struct model_file *file)
{
    return sees(worker, file) && model_files_can_fetch(worker) && !worker->cache_error &&
           worker->state != WORKER_NOT_READY;
}

/* Its holder has said that it can't use the storage. */
static bool is_unable(const struct model_file *file)
{
    return file->state == MODEL_FILE_ERROR && file->state_reason == REASON_STORAGE_UNUSABLE;
}

static bool may_keep(const struct worker *holder, const struct model_file *file)
{
    if (file->state == MODEL_FILE_READY) /* there is nothing to do but to tell */
        return holder && sees(holder, file);
    return holder && can_work(holder, file) && !is_unable(file);
}

/* Whether an instance on that worker uses it. */
static bool needs(const struct cluster *cluster, const struct worker *worker,
                  const struct model_file *file)
{
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker->id, struct model_instance, instance) {
        if (model_files_is_used_by(cluster, file, instance))
            return true;
    }
    return false;
}

/* Whether it is this one's turn: a storage that fails everywhere goes around once. */
static bool is_next(const struct worker *worker, const struct model_file *file)
{
    return is_unable(file) ? worker->id > file->worker_id : worker->id != file->worker_id;
}

int64_t file_leases_holder(const struct cluster *cluster, const struct model_file *file)
{
    const struct worker *holder = cluster_find(cluster, KIND_WORKER, file->worker_id);
    int64_t first = 0;
    if (may_keep(holder, file))
        return file->worker_id;
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        if (!can_work(worker, file) || !is_next(worker, file))
            continue;
        if (needs(cluster, worker, file))
            return worker->id;
        first = first ? first : worker->id;
    }
    return first ? first : file->worker_id;
}
