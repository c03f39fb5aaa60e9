/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models that a name stands for, in the order in which a request asks them: a model's own name
 * is one; a route has weighted targets and a fallback. Pure.
 */
#pragma once

#include "domain/model_route.h"
#include "gateway/snapshot.h"

enum { TARGETS_MAX = ROUTE_TARGETS_MAX + 1 }; /* all of a route, and its fallback */

struct targets {
    struct entry *models[TARGETS_MAX]; /* borrow from the snapshot, unless the owner holds them */
    unsigned count;
};

/*
 * Resolves a name; false when there is none of that name, and when a route's models are all gone.
 * A route's first target is chosen by weight: over the values 0, 1, 2, ... of `turn` each gets its
 * share, evenly spread; the others follow by weight, the fallback comes last. Borrows from the
 * snapshot.
 */
bool targets_find(const struct snapshot *snapshot, const char *name, unsigned turn,
                  struct targets *ret);

/* Whether one of them is still there and meant to have instances: else it is no use to wait. */
bool targets_are_wanted(const struct snapshot *snapshot, const struct targets *targets);

/* Whether one of them has an instance that is ready. */
bool targets_are_served(const struct snapshot *snapshot, const struct targets *targets);
