/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <stdio.h>

enum { TICK_MS = 1000 };

int64_t sim_wall_ms(const struct sim *sim)
{
    return 1800000000000 + sim->events.now_ms + sim->wall_offset_ms;
}

static void on_tick(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    truth_tick(sim);
    events_add(&sim->events, TICK_MS, on_tick, sim);
}

/* The tag is the time at which faults ended. */
static void on_calm_tick(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    sim_user_calm(sim); /* control may have been down */
    if (truth_is_converged(sim)) {
        sim->is_over = true;
        return;
    }
    if (sim->events.now_ms - (int64_t)event->tag > SIM_CALM_MS) {
        truth_describe(sim);
        trace_fail(&sim->trace, "in the end all is as wanted", "not %d minutes after the faults",
                   SIM_CALM_MS / 60000);
    }
    events_add(&sim->events, TICK_MS, on_calm_tick, sim)->tag = event->tag;
}

static void on_calm(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    faults_stop(sim);
    events_add(&sim->events, TICK_MS, on_calm_tick, sim)->tag = (uint64_t)sim->events.now_ms;
}

static void start_nodes(struct sim *sim)
{
    sim->node_count = (size_t)rng_between(&sim->rng, 2, SIM_NODES_MAX);
    for (size_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->sim = sim;
        snprintf(node->name, sizeof node->name, "node%zu", i);
        memcpy(node->zone, i % 2 ? "b" : "a", 2);
        node->machine.device_count = rng_between(&sim->rng, 0, MACHINE_DEVICES_MAX);
        net_init(&node->link);
        sim_node_start(node);
    }
}

static struct sim *make(const struct sim_options *options)
{
    struct sim *sim = mem_alloc(sizeof *sim);
    sim->rng.state = options->seed;
    sim->sabotage = options->sabotage;
    sim->tally = options->tally;
    sim->trace.is_verbose = options->is_verbose;
    sim->trace.now_ms = &sim->events.now_ms;
    sim_store_init(&sim->store);
    sim_control_start(sim);
    start_nodes(sim);
    faults_start(sim);
    events_add(&sim->events, TICK_MS, on_tick, sim);
    events_add(&sim->events, rng_between(&sim->rng, 30000, 240000), on_calm, sim);
    return sim;
}

static void unmake(struct sim *sim)
{
    sim_control_fini(&sim->control);
    sim_store_fini(&sim->store);
    for (size_t i = 0; i < sim->node_count; i++) {
        sim_node_fini(&sim->nodes[i]);
        net_fini(&sim->nodes[i].link);
    }
    truth_fini(&sim->truth);
    events_fini(&sim->events);
    free(sim);
}

struct sim_result sim_run(const struct sim_options *options)
{
    struct sim *sim = make(options);
    while (!sim->is_over && !sim->trace.invariant)
        events_step(&sim->events);
    struct sim_result result = {.held = !sim->trace.invariant, .hash = sim->trace.hash};
    if (!result.held)
        trace_print(&sim->trace, options->seed);
    unmake(sim);
    return result;
}
