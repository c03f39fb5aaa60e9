/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: which silent workers are given up, so that their instances are
 * replaced elsewhere.
 *
 * Silence is no death: a worker counts as lost after a long grace only, and not while it is one of
 * many that fell silent together (at least two, and more than a third of all, within
 * LOST_TOGETHER_MS): then the fault is likely the server's or the network's, and moving everything
 * would make it worse. Judged by the server's monotonic clock alone. Pure.
 */
#pragma once

#include "domain/record.h"

enum {
    LOST_GRACE_MS = 300 * 1000,
    LOST_TOGETHER_MS = 60 * 1000, /* fell silent in that time of each other */
};

/* A worker that is silent now. */
struct silent_worker {
    int64_t id;
    int64_t contact_ms; /* when it was heard last */
    bool is_held;       /* out: one of many that fell silent together */
};

/*
 * Marks those that are held back, sorts `silent` by contact, and adds the ids of the lost ones to
 * `ret`, ascending. `total`: workers of the cluster.
 */
void lost_find(struct silent_worker *silent, size_t count, size_t total, int64_t grace_ms,
               int64_t now_ms, struct int_list *ret);
