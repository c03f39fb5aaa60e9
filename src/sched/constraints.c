/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold whatever room there is: labels, health, engine, files, chosen devices. */
#include "sched/place.h"

#include <assert.h>
#include <stdio.h>

static const char *const refusal_names[] = {
    [PLACE_FITS] = "fits",
    [PLACE_WORKER_NOT_READY] = "worker_not_ready",
    [PLACE_WORKER_IN_MAINTENANCE] = "worker_in_maintenance",
    [PLACE_LABEL_MISMATCH] = "label_mismatch",
    [PLACE_FAILED_BEFORE] = "failed_before",
    [PLACE_ENGINE_MISSING] = "engine_missing",
    [PLACE_FILE_MISSING] = "file_missing",
    [PLACE_MEMORY_UNKNOWN] = "memory_unknown",
    [PLACE_MEMORY_SHORT] = "memory_short",
    [PLACE_DEVICES_SHORT] = "devices_short",
    [PLACE_DEVICES_UNFIT] = "devices_unfit",
    [PLACE_DEVICE_MEMORY_SHORT] = "device_memory_short",
    [PLACE_WORKERS_SHORT] = "workers_short",
};

static_assert(ARRAY_LEN(refusal_names) == PLACE_REFUSAL_COUNT, "every refusal has a name");

const char *place_refusal_name(enum place_refusal refusal)
{
    return refusal_names[refusal];
}

int place_mismatched_label(const struct string_map *selector, const struct string_map *labels)
{
    for (size_t i = 0; selector && i < selector->count; i++) {
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

static bool has_id(const struct int_list *ids, int64_t id)
{
    for (size_t i = 0; ids && i < ids->count; i++)
        if (ids->items[i] == id)
            return true;
    return false;
}

static bool is_engine(const struct place_request *request, const struct place_engine *engine)
{
    if (!engine->is_present || strcmp(engine->name, request->engine) != 0)
        return false;
    return !request->engine_version ||
           (engine->version && !strcmp(engine->version, request->engine_version));
}

static bool has_engine(const struct place_request *request, const struct place_worker *worker)
{
    bool has_it = !request->engine || !worker->knows_engines;
    for (size_t i = 0; !has_it && i < worker->engine_count; i++)
        has_it = is_engine(request, &worker->engines[i]);
    return has_it;
}

enum place_refusal place_refuse_worker(const struct place_request *request,
                                       const struct place_worker *worker)
{
    if (worker->is_in_maintenance)
        return PLACE_WORKER_IN_MAINTENANCE;
    if (!worker->is_ready)
        return PLACE_WORKER_NOT_READY;
    if (!place_labels_match(request->selector, worker->labels))
        return PLACE_LABEL_MISMATCH;
    if (has_id(request->avoid_worker_ids, worker->id))
        return PLACE_FAILED_BEFORE;
    if (!has_engine(request, worker))
        return PLACE_ENGINE_MISSING;
    if (has_id(request->absent_on, worker->id))
        return PLACE_FILE_MISSING;
    return worker->ram_total_bytes == 0 ? PLACE_MEMORY_UNKNOWN : PLACE_FITS;
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

bool place_may_use_processor(const struct place_request *request)
{
    return request->processor && request->device_count == 0 &&
           !(request->gpu_ids && request->gpu_ids->count > 0);
}

bool place_is_selected(const struct place_request *request, const struct place_worker *worker,
                       const struct place_device *device)
{
    const struct string_list *ids = request->gpu_ids;
    for (size_t i = 0; ids && i < ids->count; i++)
        if (is_named(ids->items[i], worker, device))
            return true;
    return !ids || ids->count == 0;
}

static bool can_use(const struct place_engine *engine, const struct place_device *device)
{
    const struct string_list *types = engine->device_types;
    return !types || types->count == 0 || (device->type && string_list_has(types, device->type));
}

/* Whether the engine, in one of the builds that the worker has, can use devices of that type. */
static bool engine_can_use(const struct place_request *request, const struct place_worker *worker,
                           const struct place_device *device)
{
    bool can = !request->engine || !worker->knows_engines;
    for (size_t i = 0; !can && i < worker->engine_count; i++)
        can = is_engine(request, &worker->engines[i]) && can_use(&worker->engines[i], device);
    return can;
}

bool place_may_have(const struct place_request *request, const struct place_worker *worker,
                    const struct place_device *device)
{
    return !device->is_unhealthy && device->class >= 0 &&
           place_is_selected(request, worker, device) && engine_can_use(request, worker, device);
}

/* What the largest rank of a profile takes, when it is one for that many devices of one worker. */
static uint64_t bytes_as_many(const struct place_request *request,
                              const struct estimate_profile *profile)
{
    uint64_t most = 0;
    if (profile->kind != PROFILE_DEVICES || profile->nodes != 1 ||
        profile->devices_per_node != request->device_count)
        return 0;
    for (unsigned d = 0; d < profile->devices_per_node; d++)
        most = profile->rank_bytes[d] > most ? profile->rank_bytes[d] : most;
    return most;
}

/* By the class where it is the least: of another one more may be asked, of these not less. */
uint64_t place_bytes_by_hand(const struct place_request *request, size_t class_count)
{
    uint64_t least = 0;
    for (size_t c = 0; request->ways && c < class_count; c++) {
        for (size_t i = 0; i < request->ways[c].count; i++) {
            uint64_t bytes = bytes_as_many(request, &request->ways[c].profiles[i]);
            least = bytes && (!least || bytes < least) ? bytes : least;
        }
    }
    return least;
}
