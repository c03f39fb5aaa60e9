/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run: everything that a seed decides. A few minutes of faults and user actions, then quiet
 * until all that is wanted runs and nothing else does. Same seed, same run.
 */
#pragma once

#include "sim/control.h"
#include "sim/events.h"
#include "sim/faults.h"
#include "sim/node.h"
#include "sim/rng.h"
#include "sim/sabotage.h"
#include "sim/store.h"
#include "sim/tally.h"
#include "sim/trace.h"
#include "sim/truth.h"
#include "sim/user.h"

enum { SIM_NODES_MAX = 5, SIM_CALM_MS = 40 * 60 * 1000 };

struct sim {
    struct rng rng;
    struct events events;
    struct trace trace;
    struct tally *tally; /* borrowed */
    enum sabotage sabotage;
    struct faults faults;
    struct sim_store store;
    struct sim_control control;
    struct sim_node nodes[SIM_NODES_MAX];
    size_t node_count;
    struct sim_user user;
    struct truth truth;
    int64_t wall_offset_ms;
    int64_t last_start; /* start time given to a process last */
    bool is_over;
};

/* Control's wall clock. */
int64_t sim_wall_ms(const struct sim *sim);

struct sim_options {
    uint64_t seed;
    enum sabotage sabotage;
    bool is_verbose;
    struct tally *tally; /* borrowed: what happens is added */
};

struct sim_result {
    bool held;     /* all invariants did */
    uint64_t hash; /* of the trace */
};

/* A run. Prints what it must. */
struct sim_result sim_run(const struct sim_options *options);
