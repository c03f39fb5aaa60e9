/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/sched/: what one worker has left for one request, and the sets of its devices that a
 * profile could have. Pure; cheap to make.
 */
#pragma once

#include "sched/candidate.h"
#include "sched/place.h"

struct room {
    uint64_t ram_free;
    struct inventory_device devices[PLACE_DEVICES_MAX]; /* as the worker's */
    size_t device_count;
    uint64_t allowed; /* devices that the request may have and that aren't held whole */
    uint64_t unused;  /* of those, without any holder */
    uint64_t of_class[PLACE_CLASSES_MAX]; /* all devices by class */
};

/* Devices in the order of a profile's ranks, and what each gives. */
struct room_grant {
    size_t count;
    uint64_t device_set;
    uint8_t devices[PLACE_DEVICES_MAX]; /* by rank */
    uint64_t bytes[PLACE_DEVICES_MAX];  /* by rank */
};

/* Fills in `ret`. */
void room_measure(const struct place_view *view, const struct place_request *request,
                  const struct place_worker *worker, struct room *ret);

/*
 * Sets of `count` devices among `from`, one for each of `needs` (bytes). Equal sets are left out;
 * those within an island come first, others only when no island has enough.
 */
void room_find(const struct room *room, uint64_t from, const uint64_t *needs, size_t count,
               struct candidates *ret);

/*
 * Which device of the set is which rank, and how much each gives: `wanted` where there is as much,
 * else the same part of what goes beyond `needs` on all. False: they don't fit so.
 */
bool room_grant(const struct room *room, uint64_t device_set, const uint64_t *needs,
                const uint64_t *wanted, size_t count, struct room_grant *ret);
