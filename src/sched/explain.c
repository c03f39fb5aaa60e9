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

/* A way that the request allows, whatever there is. */
static bool is_open_way(const struct place_request *request, const struct estimate_profile *profile)
{
    const unsigned devices = profile->nodes * profile->devices_per_node;
    return (profile->nodes == 1 || request->may_span) &&
           (request->device_count == 0 || request->device_count == devices);
}

static uint64_t least_need(const struct room_want *want)
{
    uint64_t least = want->count ? want->needs[0] : 0;
    for (size_t i = 1; i < want->count; i++)
        least = want->needs[i] < least ? want->needs[i] : least;
    return least;
}

/* The way on devices of the class that asks the least of one; of equal ones the first. */
static const struct estimate_profile *least_demanding(const struct place_request *request,
                                                      int class, uint64_t *ret_bytes)
{
    const struct estimate_profile *least = NULL;
    struct room_want want;
    *ret_bytes = 0;
    for (size_t i = 0; request->ways && class >= 0 && i < request->ways[class].count; i++) {
        const struct estimate_profile *one = &request->ways[class].profiles[i];
        if (!is_open_way(request, one))
            continue;
        room_want_of(one, &want);
        if (least && least_need(&want) >= *ret_bytes)
            continue;
        least = one;
        *ret_bytes = least_need(&want);
    }
    return least;
}

/* ---- devices ---- */

static enum place_device_code refused_code(const struct place_request *request,
                                           const struct place_worker *worker,
                                           const struct place_device *device)
{
    if (device->is_unhealthy)
        return PLACE_DEVICE_UNHEALTHY;
    return place_is_selected(request, worker, device) ? PLACE_DEVICE_UNSUPPORTED
                                                      : PLACE_DEVICE_NOT_SELECTED;
}

/* Whether it may have any devices, for itself: where nothing else is known, or their number is
 * chosen by hand. */
static bool may_be_whole(const struct place_request *request)
{
    return !request->is_known || (request->takes_any_devices && request->device_count > 0);
}

/* What a device must have free for that. */
static uint64_t whole_needs(const struct place_view *view, const struct place_request *request,
                            const struct place_device *device)
{
    const uint64_t half = room_whole_bytes(device);
    const uint64_t by_hand =
        request->is_known ? place_bytes_by_hand(request, view->class_count) : 0;
    return half > by_hand ? half : by_hand;
}

static enum place_device_code whole_code(const struct place_worker *worker,
                                         const struct place_device *device, uint64_t needs)
{
    if (device->holders > 0)
        return PLACE_DEVICE_HELD;
    if (device->kept_bytes > 0)
        return PLACE_DEVICE_KEPT;
    return place_device_free(worker, device) >= needs ? PLACE_DEVICE_FITS : PLACE_DEVICE_SHORT;
}

static enum place_device_code code_of(const struct place_request *request,
                                      const struct place_worker *worker,
                                      const struct place_device *device, bool is_whole,
                                      uint64_t needs)
{
    if (!place_may_have(request, worker, device))
        return refused_code(request, worker, device);
    if (is_whole)
        return whole_code(worker, device, needs);
    if (needs == 0 && !request->split)
        return PLACE_DEVICE_UNSUPPORTED;
    if (device->is_held_whole)
        return PLACE_DEVICE_HELD;
    const uint64_t least = needs ? needs : 1; /* together with unlike ones anything is of use */
    uint64_t left = place_device_free(worker, device);
    if (left >= least)
        return PLACE_DEVICE_FITS;
    return left + device->kept_bytes >= least ? PLACE_DEVICE_KEPT : PLACE_DEVICE_SHORT;
}

static void explain_devices(const struct place_view *view, const struct place_request *request,
                            size_t at, struct place_explanation *ret)
{
    const struct place_worker *worker = &view->workers[at];
    const bool is_refused = place_refuse_worker(request, worker) != PLACE_FITS;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_device *device = &worker->devices[i];
        const struct place_holding *holding = place_largest_holding(worker, (int)i);
        uint64_t needs = 0;
        const bool has_way = least_demanding(request, device->class, &needs) != NULL;
        const bool is_whole = !has_way && may_be_whole(request);
        if (is_whole)
            needs = whole_needs(view, request, device);
        ret->devices[ret->device_count++] = (struct place_device_reason){
            .worker = (uint32_t)at,
            .device = (uint32_t)i,
            .code = is_refused ? PLACE_DEVICE_OF_WORKER
                               : code_of(request, worker, device, is_whole, needs),
            .needs_bytes = needs,
            .free_bytes = place_device_free(worker, device),
            .total_bytes = device->total_bytes,
            .held_by = holding ? holding->model_name : NULL,
            .held_bytes = holding ? holding->bytes : 0};
    }
}

/* ---- workers ---- */

/* One worker, which doesn't refuse by itself. */
struct look {
    const struct place_view *view;
    const struct place_request *request;
    const struct place_device_reason *devices; /* of this worker */
    size_t device_count;
    struct room room;
};

static unsigned count_fitting(const struct look *look)
{
    unsigned count = 0;
    for (size_t i = 0; i < look->device_count; i++)
        count += look->devices[i].code == PLACE_DEVICE_FITS;
    return count;
}

/* Devices that could be one of the ranks. */
static unsigned count_seats(const struct look *look, int class, const struct room_want *want)
{
    const uint64_t least = least_need(want);
    unsigned count = 0;
    for (uint64_t left = look->room.allowed & look->room.of_class[class]; left; left &= left - 1)
        count += look->room.devices[__builtin_ctzll(left)].free >= least;
    return count;
}

static uint64_t most_free(const struct look *look, uint64_t *set)
{
    int best = -1;
    for (uint64_t left = *set; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (best < 0 || look->room.devices[i].free > look->room.devices[best].free)
            best = i;
    }
    if (best < 0)
        return 0;
    *set &= ~(UINT64_C(1) << best);
    return look->room.devices[best].free;
}

/* There are enough devices, but one lacks memory: the greatest need that nothing free meets. */
static void note_short_rank(const struct look *look, int class, struct room_want *want,
                            struct place_worker_reason *ret)
{
    uint64_t set = look->room.allowed & look->room.of_class[class];
    for (size_t i = 0; i < want->count; i++) {
        size_t greatest = 0;
        for (size_t k = 1; k < want->count; k++)
            greatest = want->needs[k] > want->needs[greatest] ? k : greatest;
        ret->needs_bytes = want->needs[greatest];
        ret->free_bytes = most_free(look, &set);
        want->needs[greatest] = 0;
        if (ret->free_bytes < ret->needs_bytes)
            return;
    }
}

/* What stands in the way of one way there; PLACE_FITS: nothing. */
static struct place_worker_reason ask_way(const struct look *look, int class,
                                          const struct estimate_profile *profile)
{
    struct place_worker_reason reason = {.devices_wanted = profile->devices_per_node,
                                         .workers_wanted = profile->nodes};
    struct room_want want;
    struct candidates sets;
    struct room_grant grant;
    room_want_of(profile, &want);
    reason.devices_fit = count_seats(look, class, &want);
    room_find(&look->room, look->room.allowed & look->room.of_class[class], want.needs, want.count,
              &sets);
    for (size_t i = 0; i < sets.count; i++) {
        if (!room_grant(&look->room, sets.device_sets[i], &want, &grant))
            continue;
        reason.refusal = profile->nodes > 1 ? PLACE_WORKERS_SHORT : PLACE_FITS;
        return reason;
    }
    if (sets.count == 0) {
        reason.refusal = PLACE_DEVICES_SHORT;
        if (reason.devices_fit < reason.devices_wanted)
            return reason;
        reason.refusal = PLACE_DEVICE_MEMORY_SHORT;
        note_short_rank(look, class, &want, &reason);
        return reason;
    }
    reason.refusal = PLACE_MEMORY_SHORT;
    reason.needs_bytes = want.host_bytes;
    reason.free_bytes = look->room.ram_free;
    for (size_t i = 0; i < want.count; i++) /* devices that share it */
        reason.needs_bytes += look->room.unified & sets.device_sets[0] ? want.needs[i] : 0;
    reason.needs_bytes += reason.needs_bytes == 0; /* nothing runs where nothing is left */
    return reason;
}

/* How near a refusal is to a place. */
static int nearness(enum place_refusal refusal)
{
    return refusal == PLACE_FITS            ? 4
           : refusal == PLACE_WORKERS_SHORT ? 3
           : refusal == PLACE_MEMORY_SHORT  ? 2
           : refusal == PLACE_DEVICE_MEMORY_SHORT;
}

/* Whether one of two ways, with the same code, has more of the devices that it wants. */
static bool has_more(const struct place_worker_reason *a, const struct place_worker_reason *b)
{
    return (uint64_t)a->devices_fit * b->devices_wanted >
           (uint64_t)b->devices_fit * a->devices_wanted;
}

/* The way that comes nearest. False: there is none on any of its devices. */
static bool nearest_way(const struct look *look, struct place_worker_reason *ret)
{
    const struct place_request *request = look->request;
    bool is_found = false;
    for (size_t c = 0; request->ways && c < look->view->class_count; c++) {
        if (!look->room.of_class[c])
            continue;
        for (size_t i = 0; i < request->ways[c].count; i++) {
            if (!is_open_way(request, &request->ways[c].profiles[i]))
                continue;
            struct place_worker_reason one = ask_way(look, (int)c, &request->ways[c].profiles[i]);
            int order = is_found ? nearness(one.refusal) - nearness(ret->refusal) : 1;
            if (order < 0 || (order == 0 && !has_more(&one, ret)))
                continue;
            *ret = one;
            is_found = true;
        }
    }
    return is_found;
}

/* No device has room for any part of it: the one that comes nearest, or why none counts at all. */
static void sum_up_devices(const struct look *look, struct place_worker_reason *ret)
{
    unsigned counts[PLACE_DEVICE_CODE_COUNT] = {0};
    for (size_t i = 0; i < look->device_count; i++) {
        const struct place_device_reason *device = &look->devices[i];
        counts[device->code]++;
        if (device->code != PLACE_DEVICE_SHORT || device->free_bytes < ret->free_bytes)
            continue;
        ret->free_bytes = device->free_bytes;
        ret->needs_bytes = device->needs_bytes;
    }
    /* Where there are none, their number is what is to be told. */
    ret->refusal = look->device_count == 0 && look->request->device_count > 0
                       ? PLACE_DEVICES_SHORT
                       : PLACE_DEVICES_UNFIT;
    if (counts[PLACE_DEVICE_HELD] + counts[PLACE_DEVICE_KEPT])
        ret->refusal = PLACE_DEVICES_SHORT;
    if (counts[PLACE_DEVICE_SHORT])
        ret->refusal = PLACE_DEVICE_MEMORY_SHORT;
    if (counts[PLACE_DEVICE_FITS]) /* unlike ones, of which all together aren't enough */
        ret->refusal = PLACE_DEVICES_SHORT;
    ret->devices_fit = counts[PLACE_DEVICE_FITS];
    if (ret->devices_wanted == 0)
        ret->devices_wanted = (unsigned)look->request->device_count;
    if (ret->devices_wanted <= ret->devices_fit)
        ret->devices_wanted = ret->devices_fit + 1;
}

/* Of an instance whose need isn't known. */
static struct place_worker_reason explain_unknown(const struct look *look)
{
    const uint64_t ram = look->request->ram_bytes ? look->request->ram_bytes : 1;
    struct place_worker_reason reason = {
        .devices_wanted = (unsigned)look->request->device_count,
        .devices_fit = look->request->device_count ? count_fitting(look) : 0};
    if (look->room.ram_free < ram) {
        reason.refusal = PLACE_MEMORY_SHORT;
        reason.needs_bytes = ram;
        reason.free_bytes = look->room.ram_free;
    } else if (reason.devices_fit < reason.devices_wanted) {
        reason.refusal = PLACE_DEVICES_SHORT;
    }
    return reason;
}

static struct place_worker_reason explain_known(const struct look *look)
{
    const struct place_request *request = look->request;
    struct place_worker_reason reason = {0};
    const bool may_use_processor = place_may_use_processor(request);
    if (may_use_processor && look->room.ram_free > 0 &&
        look->room.ram_free >= request->processor->host_bytes)
        return reason;
    bool has_way = nearest_way(look, &reason);
    if (has_way && (reason.devices_fit > 0 || nearness(reason.refusal) > 0))
        return reason;
    sum_up_devices(look, &reason);
    if (!may_use_processor || reason.refusal != PLACE_DEVICES_UNFIT)
        return reason;
    reason.refusal = PLACE_MEMORY_SHORT;
    reason.needs_bytes = request->processor->host_bytes ? request->processor->host_bytes : 1;
    reason.free_bytes = look->room.ram_free;
    return reason;
}

/* `first`: of its devices in the explanation. */
static struct place_worker_reason explain_worker(const struct place_view *view,
                                                 const struct place_request *request, size_t at,
                                                 const struct place_explanation *why, size_t first)
{
    const struct place_worker *worker = &view->workers[at];
    struct look look = {.view = view,
                        .request = request,
                        .devices = why->devices + first,
                        .device_count = why->device_count - first};
    const enum place_refusal refusal = place_refuse_worker(request, worker);
    if (refusal != PLACE_FITS)
        return (struct place_worker_reason){.refusal = refusal};
    room_measure(view, request, worker, &look.room);
    return request->is_known ? explain_known(&look) : explain_unknown(&look);
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
