/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One replay of a trace: nodes and tasks are shuffled, tasks are added or left out at random until
 * they ask for 130 % of the cluster's devices, and each is tried once, in turn.
 */
#pragma once

#include "bench/placement/trace.h"
#include "sim/rng.h"

#include <stdbool.h>

/* What a policy decides on. */
struct replay {
    struct inventory inventory; /* nodes in the shuffled order */
    const struct trace *trace;
    const struct mix *mix;      /* what the policy may know of the tasks */
    struct rng rng; /* for a policy that draws lots */
};

/* A way to place tasks. `start` and `end` may be NULL. */
struct policy {
    const char *name;
    void *(*start)(struct replay *replay);
    /* Fills the claim but for the model, or gives -1. */
    int (*choose)(void *state, struct replay *replay, const struct trace_task *task,
                  struct inventory_claim *ret);
    void (*placed)(void *state, const struct inventory_claim *claim); /* may be NULL */
    void (*end)(void *state);
    double of_units; /* of the mix that it knows, see trace_mix() */
};

extern const struct policy policies[];
extern const size_t policy_count;

struct replay_result {
    double at_100, at_130; /* allocated percent of all device units, by what has arrived */
    uint64_t *decision_ns; /* owned; each decision, with what follows from a claim */
    size_t decision_count;
    double seconds; /* all of it */
};

/* What is replayed. */
struct replay_plan {
    const struct trace *trace;
    const struct mix *mix;
    size_t decisions_max; /* it ends early after so many */
};

/* `ret` is filled anew. */
void replay_run(const struct replay_plan *plan, const struct policy *policy, uint64_t seed,
                struct replay_result *ret);

void replay_result_fini(struct replay_result *result);
