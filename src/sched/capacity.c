/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/capacity.h"

/* What one rank takes of a worker. */
struct share {
    int class;        /* of its devices; -1: none */
    size_t devices;
    uint64_t bytes;   /* of each, the largest */
    uint64_t ram;
};

/* The rank that takes the most of each. */
static struct share share_of(const struct place_view *view, const struct place_result *result)
{
    struct share share = {.class = -1};
    for (size_t i = 0; i < result->rank_count; i++) {
        const struct place_rank *rank = &result->ranks[i];
        const struct place_worker *worker = &view->workers[rank->worker];
        share.devices =
            rank->gpu_indexes.count > share.devices ? rank->gpu_indexes.count : share.devices;
        share.ram = rank->ram_bytes > share.ram ? rank->ram_bytes : share.ram;
        for (size_t k = 0; k < rank->gpu_indexes.count; k++) {
            const int at = place_device_at(worker, rank->gpu_indexes.items[k]);
            const uint64_t bytes = (uint64_t)rank->gpu_bytes.items[k];
            share.class = at >= 0 ? worker->devices[at].class : share.class;
            share.bytes = bytes > share.bytes ? bytes : share.bytes;
        }
    }
    return share;
}

static unsigned times(uint64_t free_bytes, uint64_t bytes)
{
    const uint64_t count = bytes ? free_bytes / bytes : PLACE_CAPACITY_MAX;
    return count < PLACE_CAPACITY_MAX ? (unsigned)count : PLACE_CAPACITY_MAX;
}

/*
 * The most groups of `size` different things, each of which may be in so many groups as `slots`
 * says: k groups can be made when those that are in k at most fill k x size places.
 */
static unsigned groups_of(const unsigned *slots, size_t count, size_t size)
{
    unsigned least = 0, most = PLACE_CAPACITY_MAX;
    while (least < most) {
        const unsigned k = least + (most - least + 1) / 2;
        size_t places = 0;
        for (size_t i = 0; i < count; i++)
            places += slots[i] < k ? slots[i] : k;
        if (places >= (size_t)k * size)
            least = k;
        else
            most = k - 1;
    }
    return least;
}

static unsigned shares_of_worker(const struct place_request *request,
                                 const struct place_worker *worker, const struct share *share)
{
    unsigned slots[PLACE_DEVICES_MAX];
    size_t count = 0;
    const unsigned by_ram = times(place_ram_free(worker), share->ram);
    if (share->devices == 0)
        return by_ram;
    for (size_t i = 0; i < worker->device_count && count < PLACE_DEVICES_MAX; i++) {
        const struct place_device *device = &worker->devices[i];
        if (device->class == share->class && !device->is_unhealthy && !device->is_held_whole &&
            place_may_have(request, worker, device))
            slots[count++] = times(place_device_free(worker, device), share->bytes);
    }
    const unsigned by_devices = groups_of(slots, count, share->devices);
    return by_ram < by_devices ? by_ram : by_devices;
}

unsigned place_capacity(const struct place_view *view, const struct place_request *request,
                        const struct place_result *result)
{
    const struct share share = share_of(view, result);
    unsigned *shares = mem_alloc_array(view->count + 1, sizeof *shares);
    for (size_t i = 0; i < view->count; i++)
        if (place_refuse_worker(request, &view->workers[i]) == PLACE_FITS)
            shares[i] = shares_of_worker(request, &view->workers[i], &share);
    const unsigned count =
        groups_of(shares, view->count, result->rank_count ? result->rank_count : 1);
    free(shares);
    return count ? count : 1;
}
