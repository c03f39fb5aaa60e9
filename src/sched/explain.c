/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/explain.h"

#include "base/mem.h"
#include "sched/room.h"

#include <assert.h>

static const char *const code_names[] = {
    [PLACE_DEVICE_FITS] = "fits",
    [PLACE_DEVICE_OF_WORKER] = "worker_refuses",
    [PLACE_DEVICE_UNHEALTHY] = "unhealthy",
    [PLACE_DEVICE_NOT_SELECTED] = "not_selected",
    [PLACE_DEVICE_UNSUPPORTED] = "unsupported",
    [PLACE_DEVICE_HELD] = "held",
    [PLACE_DEVICE_KEPT] = "kept",
    [PLACE_DEVICE_SHORT] = "memory_short",
};

static_assert(ARRAY_LEN(code_names) == PLACE_DEVICE_CODE_COUNT, "every code has a name");

const char *place_device_code_name(enum place_device_code code)
{
    return code_names[code];
}

/* ---- what is asked for ---- */

/* The profile that asks the least of each device of the class, as far as the request allows it. */
static const struct estimate_profile *least_demanding(const struct place_request *request,
                                                      int class)
{
    const struct estimate_profile *least = NULL;
    if (!request->ways || class < 0)
        return NULL;
    for (size_t i = 0; i < request->ways[class].count; i++) {
        const struct estimate_profile *one = &request->ways[class].profiles[i];
        unsigned devices = one->nodes * one->devices_per_node;
        if ((one->nodes > 1 && !request->may_span) ||
            (request->device_count && request->device_count != devices))
            continue;
        if (!least || one->rank_bytes[0] < least->rank_bytes[0])
            least = one;
    }
    return least;
}

/* ---- devices ---- */

static enum place_device_code refused_code(const struct place_request *request,
                                           const struct place_device *device)
{
    const struct string_list *ids = request->gpu_ids;
    if (device->is_unhealthy)
        return PLACE_DEVICE_UNHEALTHY;
    return ids && ids->count ? PLACE_DEVICE_NOT_SELECTED : PLACE_DEVICE_UNSUPPORTED;
}

static enum place_device_code code_of(const struct place_request *request,
                                      const struct place_worker *worker,
                                      const struct place_device *device, uint64_t needs)
{
    if (!place_may_have(request, worker, device))
        return refused_code(request, device);
    if (!request->is_known || (needs == 0 && request->takes_any_devices))
        return device->holders > 0        ? PLACE_DEVICE_HELD
               : device->kept_bytes > 0   ? PLACE_DEVICE_KEPT
                                          : PLACE_DEVICE_FITS;
    if (needs == 0)
        return PLACE_DEVICE_UNSUPPORTED;
    if (device->is_held_whole)
        return PLACE_DEVICE_HELD;
    uint64_t left = place_device_free(worker, device);
    if (left >= needs)
        return PLACE_DEVICE_FITS;
    return left + device->kept_bytes >= needs ? PLACE_DEVICE_KEPT : PLACE_DEVICE_SHORT;
}

static void explain_devices(const struct place_view *view, const struct place_request *request,
                            size_t at, struct place_explanation *ret)
{
    const struct place_worker *worker = &view->workers[at];
    const bool is_refused = place_refuse_worker(request, worker) != PLACE_FITS;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_device *device = &worker->devices[i];
        const struct estimate_profile *profile = least_demanding(request, device->class);
        const struct place_holding *holding = place_largest_holding(worker, (int)i);
        const uint64_t needs = profile ? profile->rank_bytes[0] : 0;
        ret->devices[ret->device_count++] = (struct place_device_reason){
            .worker = (uint32_t)at,
            .device = (uint32_t)i,
            .code = is_refused ? PLACE_DEVICE_OF_WORKER
                               : code_of(request, worker, device, needs),
            .needs_bytes = needs,
            .free_bytes = place_device_free(worker, device),
            .total_bytes = device->total_bytes,
            .held_by = holding ? holding->model_name : NULL,
            .held_bytes = holding ? holding->bytes : 0};
    }
}

/* ---- workers ---- */

/* What the devices of a worker, which doesn't refuse by itself, say; those are from `first` on. */
static void sum_up_devices(const struct place_request *request,
                           const struct place_explanation *why, size_t first,
                           struct place_worker_reason *ret)
{
    unsigned counts[PLACE_DEVICE_CODE_COUNT] = {0};
    for (size_t i = first; i < why->device_count; i++) {
        const struct place_device_reason *device = &why->devices[i];
        counts[device->code]++;
        if (device->code == PLACE_DEVICE_SHORT && device->free_bytes >= ret->free_bytes) {
            ret->free_bytes = device->free_bytes;
            ret->needs_bytes = device->needs_bytes;
        }
    }
    ret->devices_fit = counts[PLACE_DEVICE_FITS];
    ret->refusal = counts[PLACE_DEVICE_FITS]    ? PLACE_DEVICES_SHORT
                   : !request->is_known         ? PLACE_DEVICES_SHORT
                   : counts[PLACE_DEVICE_SHORT] ? PLACE_DEVICE_MEMORY_SHORT
                   : counts[PLACE_DEVICE_HELD] + counts[PLACE_DEVICE_KEPT]
                       ? PLACE_DEVICES_SHORT
                       : PLACE_DEVICES_UNFIT;
}

static unsigned wanted_devices(const struct place_view *view, const struct place_request *request)
{
    unsigned least = 0;
    if (request->device_count)
        return (unsigned)request->device_count;
    for (size_t c = 0; c < view->class_count; c++) {
        const struct estimate_profile *profile = least_demanding(request, (int)c);
        unsigned devices = profile ? profile->nodes * profile->devices_per_node : 0;
        least = devices && (!least || devices < least) ? devices : least;
    }
    return least;
}

/* Main memory that it wants at least. */
static uint64_t wanted_ram(const struct place_view *view, const struct place_request *request)
{
    uint64_t least = request->processor ? request->processor->host_bytes : UINT64_MAX;
    if (!request->is_known)
        return request->ram_bytes;
    for (size_t c = 0; request->ways && c < view->class_count; c++)
        for (size_t i = 0; i < request->ways[c].count; i++)
            if (request->ways[c].profiles[i].host_bytes < least)
                least = request->ways[c].profiles[i].host_bytes;
    return least == UINT64_MAX ? 0 : least;
}

static struct place_worker_reason explain_worker(const struct place_view *view,
                                                 const struct place_request *request, size_t at,
                                                 const struct place_explanation *why, size_t first)
{
    const struct place_worker *worker = &view->workers[at];
    struct place_worker_reason reason = {.refusal = place_refuse_worker(request, worker),
                                         .devices_wanted = wanted_devices(view, request)};
    uint64_t ram = wanted_ram(view, request), ram_free = place_ram_free(worker);
    bool wants_devices = request->device_count > 0 || (request->is_known && !request->processor);
    if (reason.refusal != PLACE_FITS)
        return reason;
    if (ram_free == 0 || ram_free < ram || !wants_devices) {
        reason.needs_bytes = ram;
        reason.free_bytes = ram_free;
        reason.refusal = ram_free == 0 || ram_free < ram ? PLACE_MEMORY_SHORT : PLACE_FITS;
        return reason;
    }
    sum_up_devices(request, why, first, &reason);
    return reason;
}

void place_explain(const struct place_view *view, const struct place_request *request,
                   struct place_explanation *ret)
{
    size_t devices = 0;
    for (size_t i = 0; i < view->count; i++)
        devices += view->workers[i].device_count;
    *ret = (struct place_explanation){.worker_count = view->count};
    ret->workers = mem_alloc_array(view->count + 1, sizeof *ret->workers);
    ret->devices = mem_alloc_array(devices + 1, sizeof *ret->devices);
    for (size_t i = 0; i < view->count; i++) {
        size_t first = ret->device_count;
        explain_devices(view, request, i, ret);
        ret->workers[i] = explain_worker(view, request, i, ret, first);
        ret->refusals[ret->workers[i].refusal]++;
    }
}

void place_explanation_fini(struct place_explanation *why)
{
    free(why->workers);
    free(why->devices);
    *why = (struct place_explanation){0};
}
