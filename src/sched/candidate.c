/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/candidate.h"

#include <stdbool.h>

/* Whether one of `earlier` is like the device. */
static bool has_equal(const struct inventory_device *devices, uint64_t earlier, int at)
{
    for (; earlier; earlier &= earlier - 1) {
        int i = __builtin_ctzll(earlier);
        if (devices[i].free == devices[at].free && devices[i].total == devices[at].total &&
            devices[i].island == devices[at].island)
            return true;
    }
    return false;
}

static void find_single(const struct inventory_device *devices, uint64_t fitting,
                        struct candidates *ret)
{
    for (uint64_t left = fitting; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (!has_equal(devices, fitting & ~left, i))
            ret->device_sets[ret->count++] = UINT64_C(1) << i;
    }
}

/* Of the devices in `from` the `count` with the least free; the first of equal ones. */
static uint64_t tightest(const struct inventory_device *devices, uint64_t from, uint32_t count)
{
    uint64_t set = 0;
    while (count-- > 0) {
        int best = -1;
        for (uint64_t left = from & ~set; left; left &= left - 1) {
            int i = __builtin_ctzll(left);
            if (best < 0 || devices[i].free < devices[best].free)
                best = i;
        }
        set |= UINT64_C(1) << best;
    }
    return set;
}

static uint64_t of_island(const struct inventory_device *devices, uint64_t from, uint8_t island)
{
    uint64_t set = 0;
    for (uint64_t left = from; left; left &= left - 1) {
        int i = __builtin_ctzll(left);
        if (devices[i].island == island)
            set |= UINT64_C(1) << i;
    }
    return set;
}

/* The island that has the most of `from`; the first of equal ones. */
static uint64_t largest_island(const struct inventory_device *devices, uint64_t from)
{
    uint64_t best = 0;
    while (from) {
        uint64_t island = of_island(devices, from, devices[__builtin_ctzll(from)].island);
        if (__builtin_popcountll(island) > __builtin_popcountll(best))
            best = island;
        from &= ~island;
    }
    return best;
}

/* Whole islands, the largest first, and the rest of the demand from the next. */
static uint64_t over_islands(const struct inventory_device *devices, uint64_t from, uint32_t count)
{
    uint64_t set = 0;
    while (count > 0) {
        uint64_t island = largest_island(devices, from & ~set);
        uint32_t has = (uint32_t)__builtin_popcountll(island);
        uint32_t takes = has < count ? has : count;
        set |= tightest(devices, island, takes);
        count -= takes;
    }
    return set;
}

static void find_several(const struct inventory_device *devices, uint64_t fitting, uint32_t count,
                         struct candidates *ret)
{
    if ((uint32_t)__builtin_popcountll(fitting) < count)
        return;
    for (uint64_t left = fitting; left;) {
        uint64_t island = of_island(devices, left, devices[__builtin_ctzll(left)].island);
        if ((uint32_t)__builtin_popcountll(island) >= count)
            ret->device_sets[ret->count++] = tightest(devices, island, count);
        left &= ~island;
    }
    if (ret->count == 0)
        ret->device_sets[ret->count++] = over_islands(devices, fitting, count);
}

void candidates_find(const struct inventory *inventory, size_t node, const struct demand *demand,
                     struct candidates *ret)
{
    const struct inventory_node *on = &inventory->nodes[node];
    const struct inventory_device *devices = inventory_devices(inventory, node);
    ret->count = 0;
    if (on->cpu_free < demand->cpu || on->ram_free < demand->ram)
        return;
    if (demand->devices == 0) {
        ret->device_sets[ret->count++] = 0;
        return;
    }
    if (demand->class_set && !(demand->class_set & on->class_bit))
        return;
    uint64_t fitting = 0;
    for (uint32_t i = 0; i < on->device_count; i++)
        if (devices[i].free >= demand->units)
            fitting |= UINT64_C(1) << i;
    candidates_among(devices, fitting, demand->devices, ret);
}

void candidates_among(const struct inventory_device *devices, uint64_t fitting, uint32_t count,
                      struct candidates *ret)
{
    ret->count = 0;
    if (count == 1)
        find_single(devices, fitting, ret);
    else
        find_several(devices, fitting, count, ret);
}
