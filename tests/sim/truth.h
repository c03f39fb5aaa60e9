/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The invariants. The simulator tells what really happens; truth compares it with what is durable.
 * doc/internals/simulator.md lists them.
 */
#pragma once

#include "sim/machine.h"

struct model_instance;
struct sim;

enum { TRUTH_DELETED_ENGINE_MS = 30000 }; /* an engine may outlive its instance so long */

/* An engine that has answered its probe at least once. */
struct truth_served {
    int64_t instance_id, generation;
};

/* An instance as control wrote it last. */
struct truth_written {
    int64_t id, generation, worker_id, epoch_that_went;
    int state;
    bool is_draining;
};

/* When control heard a worker last. */
struct truth_contact {
    int64_t worker_id, heard_ms;
};

struct truth {
    struct truth_served *served; /* owned */
    size_t served_count;
    struct truth_written *written; /* owned */
    size_t written_count;
    struct truth_contact *contacts; /* owned */
    size_t contact_count;
};

void truth_fini(struct truth *truth);

/* An engine is about to start, serves, is about to be told to stop by the runner of an instance. */
void truth_engine_starts(struct sim_node *node, const struct sim_engine *engine);
void truth_engine_serves(struct sim *sim, const struct sim_engine *engine);
void truth_engine_stops(struct sim_node *node, int64_t instance_id,
                        const struct sim_engine *engine);

/* Control has heard of a worker. */
void truth_heard(struct sim *sim, int64_t worker_id);

/* Control has loaded its state, writes an instance's record. */
void truth_control_started(struct sim *sim);
void truth_instance_put(struct sim *sim, const struct model_instance *instance);

/* A transaction has become durable. */
void truth_check_durable(struct sim *sim);

/* Once a simulated second. */
void truth_tick(struct sim *sim);

/* Whether all that is wanted runs and nothing else does. */
bool truth_is_converged(const struct sim *sim);

/* Notes what is wanted and what there is in the trace. */
void truth_describe(struct sim *sim);
