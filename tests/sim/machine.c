/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/machine.h"

#include "sim/world.h"

#include <assert.h>

struct sim_engine *machine_find(struct sim_machine *machine, int64_t start)
{
    for (size_t i = 0; i < machine->engine_count; i++)
        if (machine->engines[i].start == start)
            return &machine->engines[i];
    return NULL;
}

struct sim_engine *machine_find_pid(struct sim_machine *machine, int64_t pid)
{
    for (size_t i = 0; i < machine->engine_count; i++)
        if (machine->engines[i].pid == pid)
            return &machine->engines[i];
    return NULL;
}

static void on_exit_event(struct sim_event *event);

/* Now and then some other program gets the pid of an engine that has ended. */
static void reuse_pid(struct sim_node *node, int64_t pid)
{
    struct sim_machine *machine = &node->machine;
    struct sim *sim = node->sim;
    if (!rng_chance(&sim->rng, sim->faults.mix[FAULT_PID_REUSED]) ||
        machine->engine_count >= MACHINE_FOREIGN_BELOW)
        return;
    struct sim_engine *foreign = &machine->engines[machine->engine_count++];
    *foreign = (struct sim_engine){.pid = pid, .start = ++sim->last_start, .is_wedged = true};
    events_add(&sim->events, rng_between(&sim->rng, 1000, 1800 * 1000), on_exit_event, node)
        ->number = foreign->start;
    sim->tally->counts[TALLY_PID_REUSED]++;
    trace_note(&sim->trace, "%s: a foreign process has pid %lld", node->name, (long long)pid);
}

static void end_engine(struct sim_node *node, struct sim_engine *engine, const char *how)
{
    struct sim_machine *machine = &node->machine;
    int64_t start = engine->start, pid = engine->instance_id ? engine->pid : 0;
    trace_note(&node->sim->trace, "%s: engine of instance %lld %s", node->name,
               (long long)engine->instance_id, how);
    *engine = machine->engines[--machine->engine_count];
    if (pid)
        reuse_pid(node, pid);
    sim_runner_engine_ended(node, start);
}

/* ---- what is drawn when an engine starts ---- */

static void on_ready(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_engine *engine = machine_find(&node->machine, event->number);
    if (!engine || engine->is_stopping)
        return;
    engine->is_serving = true;
    truth_engine_serves(node->sim, engine);
    sim_runner_engine_serves(node, engine->start);
}

static void on_crash(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_engine *engine = machine_find(&node->machine, event->number);
    if (!engine)
        return;
    node->sim->tally->counts[TALLY_ENGINE_CRASHED]++;
    end_engine(node, engine, "crashes");
}

static void plan_life(struct sim_node *node, struct sim_engine *engine)
{
    struct sim *sim = node->sim;
    struct rng *rng = &sim->rng;
    const unsigned *mix = sim->faults.mix;
    engine->is_wedged = rng_chance(rng, mix[FAULT_ENGINE_WEDGES]);
    engine->ignores_term = rng_chance(rng, mix[FAULT_ENGINE_IGNORES_TERM]);
    int64_t start = engine->start;
    int64_t ready_ms = rng_between(rng, 50, rng_chance(rng, 100) ? 60000 : 3000);
    if (!engine->is_wedged)
        events_add(&sim->events, ready_ms, on_ready, node)->number = start;
    if (rng_chance(rng, mix[FAULT_ENGINE_CRASHES]))
        events_add(&sim->events, rng_between(rng, 1, 60000), on_crash, node)->number = start;
}

static int64_t free_pid(struct sim_node *node)
{
    int64_t pid;
    do {
        pid = rng_between(&node->sim->rng, 1, MACHINE_PIDS);
    } while (machine_find_pid(&node->machine, pid));
    return pid;
}

struct sim_engine *machine_spawn(struct sim_node *node, const struct sim_engine *like)
{
    struct sim_machine *machine = &node->machine;
    assert(machine->engine_count < MACHINE_PROCESSES_MAX);
    struct sim_engine fresh = *like;
    fresh.pid = free_pid(node);
    fresh.start = ++node->sim->last_start;
    truth_engine_starts(node, &fresh);
    struct sim_engine *engine = &machine->engines[machine->engine_count++];
    *engine = fresh;
    plan_life(node, engine);
    trace_note(&node->sim->trace, "%s: engine of instance %lld starts, generation %lld%s",
               node->name, (long long)engine->instance_id, (long long)engine->what.generation,
               engine->is_wedged ? ", wedges" : "");
    return engine;
}

/* ---- signals ---- */

static void on_exit_event(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_engine *engine = machine_find(&node->machine, event->number);
    if (engine)
        end_engine(node, engine, "ends");
}

void machine_term(struct sim_node *node, int64_t start)
{
    struct sim_engine *engine = machine_find(&node->machine, start);
    if (!engine || engine->ignores_term)
        return;
    engine->is_stopping = true;
    int64_t delay_ms = rng_between(&node->sim->rng, 1, 3000);
    events_add(&node->sim->events, delay_ms, on_exit_event, node)->number = start;
}

void machine_kill(struct sim_node *node, int64_t start)
{
    struct sim_engine *engine = machine_find(&node->machine, start);
    if (!engine)
        return;
    node->sim->tally->counts[TALLY_ENGINE_KILLED]++;
    end_engine(node, engine, "is killed");
}

void machine_reboot(struct sim_node *node)
{
    for (size_t left = node->machine.engine_count; left > 0; left--)
        end_engine(node, &node->machine.engines[0], "ends with its machine");
}

/* ---- ports ---- */

bool ports_overlap(const struct sim_ports *a, const struct sim_ports *b)
{
    return a->count && b->count && a->first < b->first + b->count && b->first < a->first + a->count;
}

static bool is_taken(const struct sim_node *node, const struct sim_ports *block)
{
    const struct sim_machine *machine = &node->machine;
    for (size_t i = 0; i < machine->engine_count; i++)
        if (ports_overlap(block, &machine->engines[i].ports))
            return true;
    for (size_t i = 0; i < machine->record_count; i++)
        if (ports_overlap(block, &machine->records[i].ports))
            return true;
    for (size_t i = 0; i < node->runners.count; i++)
        if (ports_overlap(block, &node->runners.items[i].ports))
            return true;
    return false;
}

int64_t machine_free_ports(const struct sim_node *node, int64_t after)
{
    int64_t size = (MACHINE_PORT_LAST - MACHINE_PORT_FIRST + 1) / MACHINE_PORTS_EACH;
    int64_t from =
        after >= MACHINE_PORT_FIRST ? (after - MACHINE_PORT_FIRST) / MACHINE_PORTS_EACH + 1 : 0;
    for (int64_t i = 0; i < size; i++) {
        struct sim_ports block = {
            .first = MACHINE_PORT_FIRST + (from + i) % size * MACHINE_PORTS_EACH,
            .count = MACHINE_PORTS_EACH};
        if (node->sim->sabotage == SABOTAGE_SHARE_PORTS)
            block.first = MACHINE_PORT_FIRST;
        if (node->sim->sabotage == SABOTAGE_SHARE_PORTS || !is_taken(node, &block))
            return block.first;
    }
    return -1;
}

/* ---- records ---- */

struct sim_record *machine_record(struct sim_machine *machine, int64_t instance_id)
{
    for (size_t i = 0; i < machine->record_count; i++)
        if (machine->records[i].instance_id == instance_id)
            return &machine->records[i];
    return NULL;
}

bool machine_save_record(struct sim_node *node, const struct sim_record *record)
{
    struct sim_machine *machine = &node->machine;
    if (node->sim->events.now_ms < machine->full_until_ms) {
        node->sim->tally->counts[TALLY_DISK_FULL]++;
        return false;
    }
    struct sim_record *known = machine_record(machine, record->instance_id);
    assert(known || machine->record_count < MACHINE_PROCESSES_MAX);
    if (!known)
        known = &machine->records[machine->record_count++];
    *known = *record;
    return true;
}

void machine_remove_record(struct sim_machine *machine, int64_t instance_id)
{
    struct sim_record *known = machine_record(machine, instance_id);
    if (known)
        *known = machine->records[--machine->record_count];
}
