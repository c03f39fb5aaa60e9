/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/view.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

/* Room for one more item: arrays grow to the powers of two. */
static void *grow(void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    return mem_resize(items, (count ? count * 2 : 1) * size);
}

/* ---- making ---- */

size_t place_view_add_worker(struct place_view *view, const struct place_worker *worker)
{
    view->workers = grow(view->workers, view->count, sizeof *view->workers);
    struct place_worker *added = &view->workers[view->count];
    *added = *worker;
    added->devices = NULL;
    added->holdings = NULL;
    added->device_count = added->holding_count = 0;
    added->instance_count = 0;
    added->ram_claimed_bytes = added->ram_kept_bytes = 0;
    return view->count++;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* The class of a device; a new one when there is none yet. -1: there are too many. */
static int class_of(struct place_view *view, const struct place_device *device)
{
    for (size_t i = 0; i < view->class_count; i++) {
        const struct place_class *class = &view->classes[i];
        if (class->total_bytes == device->total_bytes && same_text(class->type, device->type) &&
            same_text(class->name, device->name))
            return (int)i;
    }
    if (view->class_count == PLACE_CLASSES_MAX)
        return -1;
    view->classes[view->class_count] = (struct place_class){.type = device->type,
                                                            .name = device->name,
                                                            .vendor = device->vendor,
                                                            .total_bytes = device->total_bytes};
    return (int)view->class_count++;
}

static void count_in_class(struct place_view *view, const struct place_worker *worker, int class)
{
    unsigned count = 0;
    for (size_t i = 0; i < worker->device_count; i++)
        count += worker->devices[i].class == class;
    view->classes[class].worker_count += count == 1;
    if (count > view->classes[class].most_on_worker)
        view->classes[class].most_on_worker = count;
}

void place_view_add_device(struct place_view *view, const struct place_device *device)
{
    assert(view->count > 0);
    struct place_worker *worker = &view->workers[view->count - 1];
    if (worker->device_count == PLACE_DEVICES_MAX)
        return;
    worker->devices = grow(worker->devices, worker->device_count, sizeof *worker->devices);
    struct place_device *added = &worker->devices[worker->device_count++];
    *added = *device;
    added->class = class_of(view, device);
    added->claimed_bytes = added->kept_bytes = 0;
    added->holders = 0;
    added->is_held_whole = false;
    if (added->class >= 0)
        count_in_class(view, worker, added->class);
}

/* The view's own copy of a model's name. */
static const char *keep_name(struct place_view *view, int64_t model_id, const char *name)
{
    size_t low = 0, high = view->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->names[middle].model_id < model_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < view->name_count && view->names[low].model_id == model_id)
        return view->names[low].name;
    view->names = grow(view->names, view->name_count, sizeof *view->names);
    memmove(view->names + low + 1, view->names + low,
            (view->name_count - low) * sizeof *view->names);
    view->names[low] = (struct place_name){.model_id = model_id, .name = mem_strdup(name)};
    view->name_count++;
    return view->names[low].name;
}

void place_hold_at(struct place_view *view, size_t worker, size_t at,
                   const struct place_holding *holding)
{
    struct place_worker *on = &view->workers[worker];
    assert(at <= on->holding_count);
    on->holdings = grow(on->holdings, on->holding_count, sizeof *on->holdings);
    memmove(&on->holdings[at + 1], &on->holdings[at],
            (on->holding_count - at) * sizeof *on->holdings);
    on->holdings[at] = *holding;
    if (holding->model_name)
        on->holdings[at].model_name = keep_name(view, holding->model_id, holding->model_name);
    on->holding_count++;
    on->instance_count += holding->is_first;
    view->version++;
    if (holding->device == PLACE_HOST) {
        on->ram_claimed_bytes += holding->bytes;
        return;
    }
    struct place_device *device = &on->devices[holding->device];
    device->claimed_bytes += holding->bytes;
    device->holders++;
    device->is_held_whole = device->is_held_whole || holding->is_whole;
    if (device->is_unified)
        on->ram_claimed_bytes += holding->bytes;
}

void place_hold(struct place_view *view, size_t worker, const struct place_holding *holding)
{
    place_hold_at(view, worker, view->workers[worker].holding_count, holding);
}

static bool is_held_whole(const struct place_worker *worker, int device)
{
    for (size_t i = 0; i < worker->holding_count; i++)
        if (worker->holdings[i].device == device && worker->holdings[i].is_whole)
            return true;
    return false;
}

void place_release(struct place_view *view, size_t worker, size_t at)
{
    struct place_worker *on = &view->workers[worker];
    assert(at < on->holding_count);
    const struct place_holding holding = on->holdings[at];
    on->holding_count--;
    memmove(&on->holdings[at], &on->holdings[at + 1],
            (on->holding_count - at) * sizeof *on->holdings);
    on->instance_count -= holding.is_first;
    view->version++;
    if (holding.device == PLACE_HOST) {
        on->ram_claimed_bytes -= holding.bytes;
        return;
    }
    struct place_device *device = &on->devices[holding.device];
    device->claimed_bytes -= holding.bytes;
    device->holders--;
    device->is_held_whole = is_held_whole(on, holding.device);
    if (device->is_unified)
        on->ram_claimed_bytes -= holding.bytes;
}

void place_view_keep(struct place_view *view, size_t worker, int device, uint64_t bytes)
{
    struct place_worker *on = &view->workers[worker];
    const uint64_t left =
        device == PLACE_HOST ? place_ram_free(on) : place_device_free(on, &on->devices[device]);
    const uint64_t kept = bytes < left ? bytes : left;
    if (device == PLACE_HOST || on->devices[device].is_unified)
        on->ram_kept_bytes += kept;
    if (device != PLACE_HOST)
        on->devices[device].kept_bytes += kept;
}

void place_view_fini(struct place_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        free(view->workers[i].devices);
        free(view->workers[i].holdings);
    }
    for (size_t i = 0; i < view->name_count; i++)
        free(view->names[i].name);
    free(view->names);
    free(view->workers);
    *view = (struct place_view){0};
}

/* ---- looking ---- */

int64_t place_view_find(const struct place_view *view, int64_t worker_id)
{
    size_t low = 0, high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->workers[middle].id < worker_id)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_it = low < view->count && view->workers[low].id == worker_id;
    return is_it ? (int64_t)low : -1;
}

int place_device_at(const struct place_worker *worker, int64_t index)
{
    for (size_t i = 0; i < worker->device_count; i++)
        if (worker->devices[i].index == index)
            return (int)i;
    return -1;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t place_ram_free(const struct place_worker *worker)
{
    uint64_t others = larger(worker->ram_reserved_bytes, worker->ram_foreign_bytes);
    uint64_t left = minus(worker->ram_total_bytes, others);
    return minus(minus(left, worker->ram_claimed_bytes), worker->ram_kept_bytes);
}

uint64_t place_device_free(const struct place_worker *worker, const struct place_device *device)
{
    if (device->is_held_whole)
        return 0;
    uint64_t others = larger(worker->vram_reserved_bytes, device->foreign_bytes);
    uint64_t left = minus(minus(device->total_bytes, others), device->claimed_bytes);
    left = minus(left, device->kept_bytes);
    if (device->is_unified && place_ram_free(worker) < left)
        left = place_ram_free(worker);
    return left;
}

const struct place_holding *place_largest_holding(const struct place_worker *worker, int device)
{
    const struct place_holding *largest = NULL;
    for (size_t i = 0; i < worker->holding_count; i++) {
        const struct place_holding *one = &worker->holdings[i];
        if (one->device == device && (!largest || one->bytes > largest->bytes))
            largest = one;
    }
    return largest;
}

unsigned place_count_model(const struct place_worker *worker, int64_t model_id)
{
    unsigned count = 0;
    for (size_t i = 0; i < worker->holding_count; i++)
        count += worker->holdings[i].is_first && worker->holdings[i].model_id == model_id;
    return count;
}
