/* SPDX-License-Identifier: Apache-2.0 */
/* From NEW to STARTING, as worker/runner_start.c: look up, reserve ports, write the record, spawn.
 */
#include "sim/runner_priv.h"

#include <stdio.h>

void sim_runner_take_wanted(struct sim_runner *runner, const struct desired_instance *wanted)
{
    const struct string_list *parameters = &wanted->backend_parameters;
    runner->what = (struct sim_try){.model_id = wanted->model_id,
                                    .generation = wanted->model_generation,
                                    .rank = wanted->rank,
                                    .rank_count = wanted->rank_count,
                                    .epoch = wanted->gang_epoch};
    runner->is_draining = wanted->draining;
    snprintf(runner->what.settings, sizeof runner->what.settings, "%s",
             parameters->count ? parameters->items[0] : "");
}

/* Ports that a record kept over a restart of the worker stay: other ranks know them. */
static bool reserve_ports(struct sim_node *node, struct sim_runner *runner)
{
    if (runner->ports.count)
        return true;
    int64_t first = machine_free_ports(node, node->runners.last_port);
    if (first < 0)
        return false;
    node->runners.last_port = first;
    runner->ports = (struct sim_ports){.first = first, .count = MACHINE_PORTS_EACH};
    return true;
}

static void on_prepared(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_runner *runner = sim_runner_find(&node->runners, event->number);
    if (!node->is_up || !runner || runner->phase != PHASE_PREPARING || runner->job != event->tag)
        return;
    bool fails = rng_chance(&node->sim->rng, node->sim->faults.mix[FAULT_PREPARE_FAILS]);
    node->sim->tally->counts[TALLY_PREPARE_FAILED] += fails;
    bool may_skip_record = node->sim->sabotage == SABOTAGE_SPAWN_UNRECORDED;
    if (fails || !reserve_ports(node, runner) ||
        (!sim_runner_save(node, runner) && !may_skip_record)) {
        sim_runner_fail(node, runner);
        return;
    }
    runner->phase = PHASE_PREPARED;
    sim_runner_changed(node);
}

void sim_runner_start(struct sim_node *node, struct sim_runner *runner,
                      const struct desired_instance *wanted)
{
    sim_runner_take_wanted(runner, wanted);
    runner->serving_since_ms = runner->draining_since_ms = 0;
    runner->phase = PHASE_PREPARING;
    runner->job = ++node->runners.last_job;
    int64_t delay_ms = rng_between(&node->sim->rng, 1, 1000);
    struct sim_event *event = events_add(&node->sim->events, delay_ms, on_prepared, node);
    event->number = runner->id;
    event->tag = runner->job;
}

void sim_runner_launch(struct sim_node *node, struct sim_runner *runner)
{
    struct sim *sim = node->sim;
    struct sim_engine like = {
        .instance_id = runner->id, .what = runner->what, .ports = runner->ports};
    if (runner->failures) {
        runner->restart_count++;
        runner->last_restart_ms = sim_node_wall_ms(node);
    }
    const struct sim_engine *engine = machine_spawn(node, &like);
    int64_t start = engine->start;
    if (rng_chance(&sim->rng, sim->faults.mix[FAULT_DEATH_AFTER_SPAWN])) {
        sim->tally->counts[TALLY_WORKER_KILLED_AFTER_SPAWN]++;
        sim_node_kill(node);
        return;
    }
    sim_runner_observe(node, runner, start);
    /* If that fails, the next worker finds the engine by its labels. */
    (void)!sim_runner_save(node, runner);
}
