/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/place.h"

#include "sched/place_priv.h"

#include <stdio.h>

uint64_t place_ram_free(const struct place_worker *worker)
{
    uint64_t taken = worker->ram_reserved_bytes + worker->ram_claimed_bytes;
    return taken < worker->ram_total_bytes ? worker->ram_total_bytes - taken : 0;
}

int place_mismatched_label(const struct string_map *selector, const struct string_map *labels)
{
    for (size_t i = 0; i < selector->count; i++) {
        const char *has = string_map_get(labels, selector->keys[i]);
        if (!has || strcmp(has, selector->values[i]) != 0)
            return (int)i;
    }
    return -1;
}

bool place_labels_match(const struct string_map *selector, const struct string_map *labels)
{
    return place_mismatched_label(selector, labels) < 0;
}

static bool is_avoided(const struct place_request *request, int64_t worker_id)
{
    const struct int_list *avoid = request->avoid_worker_ids;
    for (size_t i = 0; avoid && i < avoid->count; i++)
        if (avoid->items[i] == worker_id)
            return true;
    return false;
}

/* ---- devices ---- */

/* Whether `id` names that device: "worker:type:index", where the worker's name may have colons. */
static bool is_named(const char *id, const struct place_worker *worker,
                     const struct place_device *device)
{
    size_t name_len = strlen(worker->name);
    if (strncmp(id, worker->name, name_len) != 0 || id[name_len] != ':')
        return false;
    char rest[96];
    snprintf(rest, sizeof rest, "%s:%lld", device->type ? device->type : "unknown",
             (long long)device->index);
    return strcmp(id + name_len + 1, rest) == 0;
}

static bool may_have(const struct place_request *request, const struct place_worker *worker,
                     const struct place_device *device)
{
    const struct string_list *ids = request->gpu_ids;
    if (device->is_held)
        return false;
    for (size_t i = 0; ids && i < ids->count; i++)
        if (is_named(ids->items[i], worker, device))
            return true;
    return !ids || ids->count == 0;
}

size_t place_devices_free(const struct place_request *request, const struct place_worker *worker)
{
    size_t count = 0;
    for (size_t i = 0; i < worker->device_count; i++)
        count += may_have(request, worker, &worker->devices[i]);
    return count;
}

/* ---- one worker ---- */

/* Whether it fits but for the number of its devices. */
static enum place_refusal fit_but_devices(const struct place_request *request,
                                          const struct place_worker *worker)
{
    if (worker->is_in_maintenance)
        return PLACE_WORKER_IN_MAINTENANCE;
    if (!worker->is_ready)
        return PLACE_WORKER_NOT_READY;
    if (!place_labels_match(request->selector, worker->labels))
        return PLACE_LABEL_MISMATCH;
    if (is_avoided(request, worker->id))
        return PLACE_FAILED_BEFORE;
    if (worker->ram_total_bytes == 0)
        return PLACE_MEMORY_UNKNOWN;
    uint64_t free_bytes = place_ram_free(worker);
    return free_bytes == 0 || free_bytes < request->ram_bytes ? PLACE_MEMORY_SHORT : PLACE_FITS;
}

enum place_refusal place_fit(const struct place_request *request, const struct place_worker *worker)
{
    enum place_refusal refusal = fit_but_devices(request, worker);
    if (refusal == PLACE_FITS && place_devices_free(request, worker) < request->device_count)
        return PLACE_DEVICES_SHORT;
    return refusal;
}

/* ---- giving out ---- */

/* Adds a rank on that worker with the first `count` devices that it may have. */
static void add_rank(const struct place_request *request, const struct place_worker *workers,
                     size_t worker, size_t count, struct place_result *ret)
{
    ret->ranks = mem_resize(ret->ranks, (ret->rank_count + 1) * sizeof *ret->ranks);
    struct place_rank *rank = &ret->ranks[ret->rank_count++];
    *rank = (struct place_rank){.worker = worker};
    const struct place_worker *on = &workers[worker];
    for (size_t i = 0; i < on->device_count && rank->gpu_indexes.count < count; i++)
        if (may_have(request, on, &on->devices[i]))
            int_list_add(&rank->gpu_indexes, on->devices[i].index);
}

void place_take(const struct place_request *request, const struct place_result *result,
                struct place_worker *workers)
{
    for (size_t r = 0; r < result->rank_count; r++) {
        const struct place_rank *rank = &result->ranks[r];
        struct place_worker *worker = &workers[rank->worker];
        worker->instance_count++;
        worker->ram_claimed_bytes += request->ram_bytes;
        for (size_t i = 0; i < rank->gpu_indexes.count; i++)
            for (size_t k = 0; k < worker->device_count; k++)
                if (worker->devices[k].index == rank->gpu_indexes.items[i])
                    worker->devices[k].is_held = true;
    }
}

void place_result_fini(struct place_result *result)
{
    for (size_t i = 0; i < result->rank_count; i++)
        int_list_fini(&result->ranks[i].gpu_indexes);
    free(result->ranks);
    *result = (struct place_result){0};
}

/* The worker with the fewest instances of those that fit alone; among equals the one that has the
 * fewest devices to spare, then the first. -1: none. */
static int best_alone(const struct place_request *request, const struct place_worker *workers,
                      size_t count)
{
    int best = -1;
    size_t best_free = 0;
    for (size_t i = 0; i < count; i++) {
        if (place_fit(request, &workers[i]) != PLACE_FITS)
            continue;
        size_t free_now = request->device_count ? place_devices_free(request, &workers[i]) : 0;
        bool is_better = best < 0 || workers[i].instance_count < workers[best].instance_count ||
                         (workers[i].instance_count == workers[best].instance_count &&
                          free_now < best_free);
        if (!is_better)
            continue;
        best = (int)i;
        best_free = free_now;
    }
    return best;
}

/* ---- several workers ---- */

/* The worker that fits but for its number of devices, isn't used yet and has the most; -1: none. */
static int most_devices(const struct place_request *request, const struct place_worker *workers,
                        size_t count, const bool *is_used)
{
    int best = -1;
    size_t best_free = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_used[i] || fit_but_devices(request, &workers[i]) != PLACE_FITS)
            continue;
        size_t free_now = place_devices_free(request, &workers[i]);
        if (free_now > best_free) {
            best = (int)i;
            best_free = free_now;
        }
    }
    return best;
}

/* As few workers as have enough devices together: all ranks or none. */
static int place_over(const struct place_request *request, const struct place_worker *workers,
                      size_t count, struct place_result *ret)
{
    auto_free bool *is_used = mem_alloc_array(count + 1, sizeof *is_used);
    struct place_result result = {0};
    size_t missing = request->device_count;
    while (missing > 0) {
        int next = most_devices(request, workers, count, is_used);
        if (next < 0) {
            place_result_fini(&result);
            return -1;
        }
        is_used[next] = true;
        add_rank(request, workers, (size_t)next, missing, &result);
        missing -= result.ranks[result.rank_count - 1].gpu_indexes.count;
    }
    *ret = result;
    return 0;
}

int place(const struct place_request *request, const struct place_worker *workers, size_t count,
          struct place_result *ret, struct buf *reasons, unsigned refusals[PLACE_REFUSAL_COUNT])
{
    int best = best_alone(request, workers, count);
    if (best >= 0) {
        add_rank(request, workers, (size_t)best, request->device_count, ret);
        return 0;
    }
    if (request->may_span && request->device_count > 1 &&
        place_over(request, workers, count, ret) == 0)
        return 0;
    place_explain(request, workers, count, reasons, refusals);
    return -1;
}
