/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/room.h"

#include <string.h>

void room_measure(const struct place_view *view, const struct place_request *request,
                  const struct place_worker *worker, struct room *ret)
{
    memset(ret->of_class, 0, view->class_count * sizeof ret->of_class[0]);
    ret->ram_free = place_ram_free(worker);
    ret->device_count = worker->device_count;
    ret->allowed = ret->unused = 0;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_device *device = &worker->devices[i];
        const uint64_t bit = UINT64_C(1) << i;
        ret->devices[i] = (struct inventory_device){.total = device->total_bytes,
                                                    .free = place_device_free(worker, device),
                                                    .island = device->island};
        if (!place_may_have(request, worker, device))
            continue;
        ret->of_class[device->class] |= bit;
        ret->allowed |= device->is_held_whole ? 0 : bit;
        ret->unused |= device->holders > 0 || device->kept_bytes > 0 ? 0 : bit;
    }
}

static uint64_t with_at_least(const struct room *room, uint64_t from, uint64_t bytes)
{
    uint64_t set = 0;
    for (uint64_t left = from; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (room->devices[i].free >= bytes)
            set |= UINT64_C(1) << i;
    }
    return set;
}

/* Ranks by falling need; equal ones keep their order. */
static void sort_ranks(const uint64_t *needs, size_t count, uint8_t *order)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        while (at > 0 && needs[order[at - 1]] < needs[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (uint8_t)i;
    }
}

/* The device of `from` with the least free that has `bytes`, or -1. */
static int tightest(const struct room *room, uint64_t from, uint64_t bytes)
{
    int best = -1;
    for (uint64_t left = from; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (room->devices[i].free >= bytes &&
            (best < 0 || room->devices[i].free < room->devices[best].free))
            best = i;
    }
    return best;
}

/* The greatest need first, each to the tightest device: finds a set whenever there is one. */
static bool assign(const struct room *room, uint64_t from, const uint64_t *needs, size_t count,
                   uint8_t *devices)
{
    uint8_t order[PLACE_DEVICES_MAX];
    sort_ranks(needs, count, order);
    for (size_t i = 0; i < count; i++) {
        int device = tightest(room, from, needs[order[i]]);
        if (device < 0)
            return false;
        devices[order[i]] = (uint8_t)device;
        from &= ~(UINT64_C(1) << device);
    }
    return true;
}

static uint64_t least_of(const uint64_t *needs, size_t count)
{
    uint64_t least = needs[0];
    for (size_t i = 1; i < count; i++)
        least = needs[i] < least ? needs[i] : least;
    return least;
}

static bool are_equal(const uint64_t *needs, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (needs[i] != needs[0])
            return false;
    return true;
}

void room_find(const struct room *room, uint64_t from, const uint64_t *needs, size_t count,
               struct candidates *ret)
{
    uint8_t devices[PLACE_DEVICES_MAX];
    ret->count = 0;
    if (count == 0 || count > room->device_count)
        return;
    uint64_t fitting = with_at_least(room, from, least_of(needs, count));
    candidates_among(room->devices, fitting, (uint32_t)count, ret);
    if (are_equal(needs, count))
        return;
    size_t kept = 0;
    for (size_t i = 0; i < ret->count; i++)
        if (assign(room, ret->device_sets[i], needs, count, devices))
            ret->device_sets[kept++] = ret->device_sets[i];
    ret->count = kept;
    if (kept > 0 || !assign(room, fitting, needs, count, devices))
        return;
    ret->device_sets[0] = 0;
    for (size_t i = 0; i < count; i++)
        ret->device_sets[0] |= UINT64_C(1) << devices[i];
    ret->count = 1;
}

/* The part of what is wanted beyond the need that each device has, in 1/65536. */
static uint64_t common_part(const struct room *room, const struct room_grant *grant,
                            const uint64_t *needs, const uint64_t *wanted)
{
    uint64_t part = 65536;
    for (size_t i = 0; i < grant->count; i++) {
        uint64_t more = wanted[i] - needs[i];
        uint64_t has = room->devices[grant->devices[i]].free - needs[i];
        if (has < more)
            part = has / (more / 65536 + 1) < part ? has / (more / 65536 + 1) : part;
    }
    return part;
}

bool room_grant(const struct room *room, uint64_t device_set, const uint64_t *needs,
                const uint64_t *wanted, size_t count, struct room_grant *ret)
{
    ret->count = count;
    ret->device_set = device_set;
    if (are_equal(needs, count)) { /* in their own order */
        size_t n = 0;
        for (uint64_t left = device_set; left; left &= left - 1)
            ret->devices[n++] = (uint8_t)__builtin_ctzll(left);
    } else if (!assign(room, device_set, needs, count, ret->devices)) {
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (room->devices[ret->devices[i]].free < needs[i])
            return false;
    uint64_t part = common_part(room, ret, needs, wanted);
    for (size_t i = 0; i < count; i++) {
        uint64_t more = wanted[i] - needs[i];
        ret->bytes[i] = part == 65536 ? wanted[i] : needs[i] + more / 65536 * part;
    }
    return true;
}
