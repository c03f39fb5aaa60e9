/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/room.h"

#include <string.h>

void room_measure(const struct place_view *view, const struct place_request *request,
                  const struct place_worker *worker, struct room *ret)
{
    memset(ret->of_class, 0, view->class_count * sizeof ret->of_class[0]);
    ret->on = worker;
    ret->ram_free = place_ram_free(worker);
    ret->device_count = worker->device_count;
    ret->allowed = ret->unused = ret->unified = 0;
    for (size_t i = 0; i < worker->device_count; i++) {
        const struct place_device *device = &worker->devices[i];
        const uint64_t bit = UINT64_C(1) << i;
        ret->devices[i] = (struct inventory_device){.total = device->total_bytes,
                                                    .free = place_device_free(worker, device),
                                                    .island = device->island};
        ret->unified |= device->is_unified ? bit : 0;
        if (!place_may_have(request, worker, device))
            continue;
        ret->of_class[device->class] |= bit;
        ret->allowed |= device->is_held_whole ? 0 : bit;
        if (device->holders == 0 && device->kept_bytes == 0 &&
            ret->devices[i].free >= room_whole_bytes(device))
            ret->unused |= bit;
    }
}

uint64_t room_whole_bytes(const struct place_device *device)
{
    return device->total_bytes / 2;
}

void room_want_of(const struct estimate_profile *profile, struct room_want *ret)
{
    ret->count = profile->devices_per_node;
    ret->host_bytes = profile->host_bytes;
    memset(ret->needs, 0, ret->count * sizeof ret->needs[0]);
    memset(ret->wanted, 0, ret->count * sizeof ret->wanted[0]);
    for (size_t rank = 0; rank < profile->nodes * ret->count; rank++) {
        uint64_t *need = &ret->needs[rank % ret->count], *wanted = &ret->wanted[rank % ret->count];
        if (profile->rank_bytes[rank] > *need)
            *need = profile->rank_bytes[rank];
        if (profile->preferred_bytes[rank] > *wanted)
            *wanted = profile->preferred_bytes[rank];
        *wanted = *wanted > *need ? *wanted : *need;
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

bool room_has_host(const struct room *room, const struct room_grant *grant, uint64_t host_bytes)
{
    uint64_t left = room->ram_free;
    if (left == 0)
        return false;
    for (size_t i = 0; i < grant->count; i++) {
        if (!(room->unified >> grant->devices[i] & 1))
            continue;
        if (left < grant->bytes[i])
            return false;
        left -= grant->bytes[i];
    }
    return left >= host_bytes;
}

/* Exactly these bytes of each. */
static bool give(const struct room *room, const struct room_want *want, const uint64_t *bytes,
                 struct room_grant *ret)
{
    if (are_equal(bytes, want->count)) { /* in their own order */
        size_t n = 0;
        for (uint64_t left = ret->device_set; left; left &= left - 1)
            ret->devices[n++] = (uint8_t)__builtin_ctzll(left);
    } else if (!assign(room, ret->device_set, bytes, want->count, ret->devices)) {
        return false;
    }
    for (size_t i = 0; i < want->count; i++) {
        ret->bytes[i] = bytes[i];
        if (room->devices[ret->devices[i]].free < bytes[i])
            return false;
    }
    return room_has_host(room, ret, want->host_bytes);
}

bool room_grant(const struct room *room, uint64_t device_set, const struct room_want *want,
                struct room_grant *ret)
{
    ret->count = want->count;
    ret->device_set = device_set;
    ret->is_ample = give(room, want, want->wanted, ret);
    return ret->is_ample || give(room, want, want->needs, ret);
}
