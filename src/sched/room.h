/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/sched/: what one worker has left for one request, and the sets of its devices that a
 * profile could have. Pure; cheap to make.
 */
#pragma once

#include "sched/candidate.h"
#include "sched/place.h"

struct room {
    const struct place_worker *on; /* borrowed */
    uint64_t ram_free;
    struct inventory_device devices[PLACE_DEVICES_MAX]; /* as the worker's */
    size_t device_count;
    uint64_t allowed; /* devices that the request may have and that aren't held whole */
    uint64_t unused;  /* of those, without any holder, and not much used by others */
    uint64_t unified; /* whose memory is the host's */
    uint64_t of_class[PLACE_CLASSES_MAX]; /* those that the request may have, by class */
};

/* What a profile asks of one worker. */
struct room_want {
    size_t count;                        /* of devices */
    uint64_t needs[PLACE_DEVICES_MAX];   /* bytes by rank */
    uint64_t wanted[PLACE_DEVICES_MAX];  /* that it had better have; no less */
    uint64_t host_bytes;                 /* of main memory besides */
};

/* Devices in the order of a profile's ranks, and what each gives. */
struct room_grant {
    size_t count;
    bool is_ample; /* all that is wanted, else just the needs */
    uint64_t device_set;
    uint8_t devices[PLACE_DEVICES_MAX]; /* by rank */
    uint64_t bytes[PLACE_DEVICES_MAX];  /* by rank */
};

/* What the worker has left, by the request's hard constraints on devices. */
void room_measure(const struct place_view *view, const struct place_request *request,
                  const struct place_worker *worker, struct room *ret);

/* What a device must have free so that it is given out whole: a half may be used by others. */
uint64_t room_whole_bytes(const struct place_device *device);

/* Ranks of several workers aren't quite alike: each gets what the largest of its place needs. */
void room_want_of(const struct estimate_profile *profile, struct room_want *ret);

/*
 * Sets of `count` devices among `from`, one for each of `needs` (bytes). Equal sets are left out;
 * those within an island come first, others only when no island has enough.
 */
void room_find(const struct room *room, uint64_t from, const uint64_t *needs, size_t count,
               struct candidates *ret);

/*
 * Which device of the set is which rank, and how much each gives. False: they don't fit so, or main
 * memory is short, of which devices that share it take their part.
 */
bool room_grant(const struct room *room, uint64_t device_set, const struct room_want *want,
                struct room_grant *ret);

/* Whether main memory has that much beside what the grant takes of it. */
bool room_has_host(const struct room *room, const struct room_grant *grant, uint64_t host_bytes);
