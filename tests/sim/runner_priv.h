/* SPDX-License-Identifier: Apache-2.0 */
/* What runner.c, runner_start.c and runner_report.c share. */
#pragma once

#include "sim/world.h"

/* The time by which the worker's loop goes. */
static inline int64_t runner_now_ms(const struct sim_node *node)
{
    return node->sim->events.now_ms;
}

/* By instance, by its process; NULL: there is none. */
struct sim_runner *sim_runner_find(struct sim_runners *runners, int64_t id);
struct sim_runner *sim_runner_by_start(struct sim_runners *runners, int64_t start);

/* A fresh one. */
struct sim_runner *sim_runner_add(struct sim_runners *runners, int64_t id);

/* Something that the decision or the report depends on has changed. */
void sim_runner_changed(struct sim_node *node);

/* Writes the record; false: the disk is full. */
bool sim_runner_save(struct sim_node *node, const struct sim_runner *runner);

/* The try has ended for no good; the next one is due later. */
void sim_runner_fail(struct sim_node *node, struct sim_runner *runner);

/* Begins to observe the process with that start time. */
void sim_runner_observe(struct sim_node *node, struct sim_runner *runner, int64_t start);

/* Has an answer to its probe come within so long. */
void sim_runner_probe_soon(struct sim_node *node, int64_t start, int64_t within_ms);

/* ---- runner_start.c ---- */

/* What an engine would be started with. */
void sim_runner_take_wanted(struct sim_runner *runner, const struct desired_instance *wanted);

/* NEW or FAILED: begins a try. */
void sim_runner_start(struct sim_node *node, struct sim_runner *runner,
                      const struct desired_instance *wanted);

/* PREPARED: starts the engine. */
void sim_runner_launch(struct sim_node *node, struct sim_runner *runner);
