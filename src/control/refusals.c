/* SPDX-License-Identifier: Apache-2.0 */
#include "control/refusals.h"

#include "domain/gang.h"
#include "domain/reason.h"

/* The rank of a gang that has refused it; NULL: none. */
static const struct gang_rank *refusing_rank(const struct gang *gang)
{
    bool is_rank = gang->failed_rank >= 0 && (size_t)gang->failed_rank < gang->rank_count;
    const struct gang_rank *rank = is_rank ? &gang->ranks[gang->failed_rank] : NULL;
    return rank && reason_is_memory_taken((enum reason)rank->state_reason) ? rank : NULL;
}

bool refusals_is_refused(const struct model_instance *instance)
{
    struct gang gang = {0};
    if (instance->state != INSTANCE_ERROR || instance->is_draining)
        return false;
    bool is_refused = reason_is_memory_taken((enum reason)instance->state_reason);
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0)
        is_refused = refusing_rank(&gang) != NULL;
    gang_fini(&gang);
    return is_refused;
}

/* What the worker says is free of a device; -1: nothing. */
static int64_t reported_free(const struct worker *worker, int64_t index)
{
    const struct worker_device *device =
        worker && index >= 0 ? worker_device_at(worker, index) : NULL;
    if (!device || device->total_bytes < device->used_bytes)
        return -1;
    return (int64_t)(device->total_bytes - device->used_bytes);
}

static void write_refusal(struct json_writer *w, const struct worker *worker, const json_t *args,
                          int64_t now_ms)
{
    const int64_t index = json_member_int(args, "gpu_index", -1);
    json_begin_object(w);
    json_put_int(w, "worker_id", worker ? worker->id : 0);
    json_put_int(w, "gpu_index", index);
    json_put_int(w, "reported", reported_free(worker, index));
    json_put_int(w, "needs", json_member_int(args, "needs", 0));
    json_put_int(w, "free", json_member_int(args, "free", 0));
    json_put_int(w, "at", now_ms);
    json_end_object(w);
}

/* The worker that has refused it. */
static int64_t refusing_worker(const struct model_instance *instance)
{
    struct gang gang = {0};
    int64_t worker_id = instance->worker_id;
    if (instance_is_gang(instance) && gang_read(instance->distributed_servers, &gang, NULL) == 0 &&
        refusing_rank(&gang))
        worker_id = refusing_rank(&gang)->worker_id;
    gang_fini(&gang);
    return worker_id;
}

char *refusals_after(const struct model_instance *instance, const struct cluster *cluster,
                     int64_t now_ms)
{
    auto_fini(json_release) json_t *before = NULL, *args = NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    if (instance->refusals && json_read(str_of(instance->refusals), &before, NULL) < 0)
        before = NULL;
    if (instance->state_args && json_read(str_of(instance->state_args), &args, NULL) < 0)
        args = NULL;
    size_t count = json_array_size(before);
    json_begin_array(&w);
    for (size_t i = count < REFUSALS_MAX ? 0 : count - REFUSALS_MAX + 1; i < count; i++)
        json_add_tree(&w, json_array_get(before, i));
    write_refusal(&w, cluster_find(cluster, KIND_WORKER, refusing_worker(instance)), args, now_ms);
    json_end_array(&w);
    return buf_take(&text);
}

/* ---- looking ---- */

/* Whether what it lacked is there by now, by a report that it has made since. */
static bool has_room_now(const struct worker *worker, const json_t *refusal, int64_t age_ms)
{
    int64_t needs = json_member_int(refusal, "needs", 0);
    int64_t has = reported_free(worker, json_member_int(refusal, "gpu_index", -1));
    bool is_news = age_ms >= REFUSAL_REPORT_MS || has != json_member_int(refusal, "reported", -1);
    return needs > 0 && has >= needs && is_news;
}

void refusals_active(const struct model_instance *instance, const struct cluster *cluster,
                     int64_t now_ms, struct int_list *ret)
{
    auto_fini(json_release) json_t *all = NULL;
    size_t i;
    json_t *refusal;
    if (!instance->refusals || json_read(str_of(instance->refusals), &all, NULL) < 0)
        return;
    json_array_foreach(all, i, refusal) {
        int64_t worker_id = json_member_int(refusal, "worker_id", 0);
        const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
        int64_t age_ms = now_ms - json_member_int(refusal, "at", 0);
        if (worker && age_ms < REFUSAL_LASTS_MS && !has_room_now(worker, refusal, age_ms))
            int_list_add(ret, worker_id);
    }
}
