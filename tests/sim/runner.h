/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's instances: the real decision (worker/reconcile.h) over runners whose machine is that
 * of worker/runner.h, told again without processes, files and sockets. They end with the worker's
 * process and are adopted by the next.
 */
#pragma once

#include "base/json.h"
#include "sim/machine.h"
#include "worker/reconcile.h"

struct sim_node;

struct sim_runner {
    int64_t id;
    struct sim_try what; /* that its engine is started with */
    bool is_draining;
    enum runner_phase phase;
    int64_t start; /* of its process; 0: none */
    uint64_t job;  /* PREPARING: number of the look-up */
    bool was_probed;
    unsigned failures;
    int64_t retry_at_ms, progress_at_ms, serving_since_ms, draining_since_ms;
    struct sim_ports ports;
    int64_t restart_count, last_restart_ms; /* of the worker's wall clock */
    enum stop_reason stop;
};

/* All runners of a worker's process. */
struct sim_runners {
    struct sim_runner *items; /* owned */
    size_t count;
    uint64_t pass; /* number of the pass that is due; others are overtaken */
    uint64_t last_job;
    int64_t last_port; /* that was handed out */
};

/* Adopts what lives on the machine. */
void sim_runners_start(struct sim_node *node);
void sim_runners_fini(struct sim_runners *runners);

/* Has the decision made at once, for a new desired state. */
void sim_runners_wake(struct sim_node *node);

/* False while an adopted engine hasn't been probed. */
bool sim_runners_are_settled(const struct sim_runners *runners);

/* The array "instances" of the report. */
void sim_runners_write_report(const struct sim_node *node, struct json_writer *w);

/* An engine answers its probe for the first time, or has ended. */
void sim_runner_engine_serves(struct sim_node *node, int64_t start);
void sim_runner_engine_ended(struct sim_node *node, int64_t start);
