/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/, its tests and the simulator: what the reconciler has to look at. Holds ids,
 * never contents: how often something changed doesn't matter, a pass looks at what is there now.
 */
#pragma once

#include "base/id_set.h"
#include "control/cluster.h"

/* The zero value is clean. */
struct dirty {
    struct id_set models;  /* to be looked at */
    struct id_set waiting; /* would take a step if there were room somewhere */
    bool has_room_news;    /* a place may have come free: look at those that wait, too */
    bool has_file_news;    /* what instances need of model files may have changed */
    bool has_unplaced;     /* instances wait for a worker; set by the pass */
};

/* A record was put or deleted. `durable`: not by an observation that isn't stored. */
void dirty_note(struct dirty *dirty, const struct cluster *cluster, enum kind kind,
                const void *record, bool durable, bool is_delete);

/* Everything must be looked at, as after a start. */
void dirty_note_all(struct dirty *dirty, const struct cluster *cluster);

/* What runs on the worker must be looked at: it was lost, or isn't any more. */
void dirty_note_worker(struct dirty *dirty, const struct cluster *cluster, int64_t worker_id);

/* Whether a pass would have something to do. */
bool dirty_has_work(const struct dirty *dirty);

/* Whether something waits for room, so that news of free memory matter. */
bool dirty_waits(const struct dirty *dirty);

void dirty_fini(struct dirty *dirty);
