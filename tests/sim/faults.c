/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/faults.h"

#include "sim/world.h"

/* The most that a mix may draw. */
static const unsigned most[FAULT_COUNT] = {
    [FAULT_MESSAGE_LOST] = 100,  [FAULT_MESSAGE_LATE] = 200,        [FAULT_MESSAGE_TWICE] = 200,
    [FAULT_STORE_SLOW] = 300,    [FAULT_COMMIT_FAILS] = 20,         [FAULT_ENGINE_CRASHES] = 300,
    [FAULT_ENGINE_WEDGES] = 50,  [FAULT_ENGINE_IGNORES_TERM] = 500, [FAULT_PID_REUSED] = 500,
    [FAULT_PREPARE_FAILS] = 200, [FAULT_DEATH_AFTER_SPAWN] = 100,   [FAULT_CONTROL_DIES] = 10,
    [FAULT_WORKER_DIES] = 10,    [FAULT_MACHINE_REBOOTS] = 2,       [FAULT_PARTITION] = 10,
    [FAULT_LONG_SILENCE] = 3,
    [FAULT_STORE_FREEZES] = 5,   [FAULT_STORE_FILLS] = 3,           [FAULT_DISK_FILLS] = 10,
    [FAULT_CLOCK_JUMPS] = 3,     [FAULT_WORKER_CLOCK_JUMPS] = 3,    [FAULT_USER_ACTS] = 40,
};

static struct sim_node *any_node(struct sim *sim)
{
    return &sim->nodes[rng_between(&sim->rng, 0, (int64_t)sim->node_count - 1)];
}

/* Short ones are more frequent. */
static int64_t draw_duration(struct sim *sim)
{
    return rng_between(&sim->rng, 1, rng_chance(&sim->rng, 300) ? 90000 : 10000);
}

static void reboot(struct sim_node *node)
{
    trace_note(&node->sim->trace, "%s: reboots", node->name);
    sim_node_kill(node);
    machine_reboot(node);
    node->sim->tally->counts[TALLY_REBOOT]++;
}

/* Longer than the grace after which instances are replaced; often a single node. */
static void cut_off(struct sim *sim)
{
    int64_t many = rng_chance(&sim->rng, 600) ? 1 : rng_between(&sim->rng, 2, 3);
    for (int64_t i = 0; i < many; i++)
        net_partition(any_node(sim), rng_between(&sim->rng, 200000, 900000));
}

static void freeze_store(struct sim *sim)
{
    sim->store.frozen_until_ms = sim->events.now_ms + draw_duration(sim);
    sim->tally->counts[TALLY_STORE_FROZEN]++;
    trace_note(&sim->trace, "store: is frozen");
}

static void fill_store(struct sim *sim)
{
    sim->store.full_until_ms = sim->events.now_ms + draw_duration(sim);
    trace_note(&sim->trace, "store: its disk is full");
}

static void fill_disk(struct sim_node *node)
{
    node->machine.full_until_ms = node->sim->events.now_ms + draw_duration(node->sim);
    trace_note(&node->sim->trace, "%s: its disk is full", node->name);
}

static int64_t draw_jump(struct sim *sim)
{
    return rng_between(&sim->rng, -86400 * 1000, 86400 * 1000);
}

static void jump_clock(struct sim *sim)
{
    sim->wall_offset_ms += draw_jump(sim);
    sim->tally->counts[TALLY_CONTROL_CLOCK_JUMP]++;
    trace_note(&sim->trace, "clock: control's jumps");
}

static void jump_worker_clock(struct sim_node *node)
{
    node->wall_offset_ms += draw_jump(node->sim);
    node->sim->tally->counts[TALLY_WORKER_CLOCK_JUMP]++;
    trace_note(&node->sim->trace, "clock: %s's jumps", node->name);
}

static void strike(struct sim *sim, enum fault fault)
{
    switch ((int)fault) {
    case FAULT_CONTROL_DIES:
        sim_control_kill(sim);
        return;
    case FAULT_WORKER_DIES:
        sim_node_kill(any_node(sim));
        return;
    case FAULT_MACHINE_REBOOTS:
        reboot(any_node(sim));
        return;
    case FAULT_PARTITION:
        net_partition(any_node(sim), draw_duration(sim));
        return;
    case FAULT_LONG_SILENCE:
        cut_off(sim);
        return;
    case FAULT_STORE_FREEZES:
        freeze_store(sim);
        return;
    case FAULT_STORE_FILLS:
        fill_store(sim);
        return;
    case FAULT_DISK_FILLS:
        fill_disk(any_node(sim));
        return;
    case FAULT_CLOCK_JUMPS:
        jump_clock(sim);
        return;
    case FAULT_WORKER_CLOCK_JUMPS:
        jump_worker_clock(any_node(sim));
        return;
    case FAULT_USER_ACTS:
        sim_user_act(sim);
        return;
    }
}

static enum fault draw_fault(struct sim *sim)
{
    unsigned total = 0;
    for (int i = FAULT_CONTROL_DIES; i < FAULT_COUNT; i++)
        total += sim->faults.mix[i];
    int64_t left = rng_between(&sim->rng, 0, (int64_t)total - 1);
    int i = FAULT_CONTROL_DIES;
    for (; left >= (int64_t)sim->faults.mix[i]; i++)
        left -= (int64_t)sim->faults.mix[i];
    return (enum fault)i;
}

static void on_fault(struct sim_event *event)
{
    struct sim *sim = event->ctx;
    if (!sim->faults.are_on)
        return;
    strike(sim, draw_fault(sim));
    /* Now and then the next one follows within the same few milliseconds. */
    int64_t delay_ms = rng_between(&sim->rng, 0, rng_chance(&sim->rng, 300) ? 30 : 6000);
    events_add(&sim->events, delay_ms, on_fault, sim);
}

void faults_start(struct sim *sim)
{
    for (int i = 0; i < FAULT_COUNT; i++)
        if (rng_chance(&sim->rng, 600))
            sim->faults.mix[i] = (unsigned)rng_between(&sim->rng, 0, (int64_t)most[i]);
    sim->faults.mix[FAULT_USER_ACTS] += 10;
    sim->faults.are_on = true;
    events_add(&sim->events, 0, on_fault, sim);
}

void faults_stop(struct sim *sim)
{
    trace_note(&sim->trace, "faults: end");
    sim->faults = (struct faults){0};
}
