/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of devices that a node has to offer to a demand, without those that are equal to another:
 * two devices of an island with as much free make no difference.
 *
 *     struct candidates candidates;
 *     candidates_find(&inventory, node, &demand, &candidates);
 *     for (i < candidates.count) ... candidates.device_sets[i] ...
 *
 * For one device each distinct amount free is a candidate. For several there is one per island that
 * has enough: its devices with the least free, which leaves the emptier ones whole. Only when no
 * island has enough are devices of several taken, from as few islands as possible.
 */
#pragma once

#include "sched/inventory.h"

struct candidates {
    size_t count; /* 0: it doesn't fit; for a demand without devices there is one, the empty set */
    uint64_t device_sets[INVENTORY_DEVICES_MAX];
};

/* Fills `ret` in the order of the devices. */
void candidates_find(const struct inventory *inventory, size_t node, const struct demand *demand,
                     struct candidates *ret);

/* The same for one node's devices: sets of `count` of those in `fitting`, which all have enough. */
void candidates_among(const struct inventory_device *devices, uint64_t fitting, uint32_t count,
                      struct candidates *ret);
