/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/runner.h"

#include "domain/instance.h"
#include "proc/process.h"
#include "sim/world.h"
#include "worker/runner.h"

#include <assert.h>
#include <stdio.h>

static struct sim_runner *find(struct sim_runners *runners, int64_t id)
{
    for (size_t i = 0; i < runners->count; i++)
        if (runners->items[i].id == id)
            return &runners->items[i];
    return NULL;
}

static struct sim_runner *find_by_start(struct sim_runners *runners, int64_t start)
{
    for (size_t i = 0; i < runners->count; i++)
        if (runners->items[i].start == start)
            return &runners->items[i];
    return NULL;
}

static struct sim_runner *add(struct sim_runners *runners, int64_t id)
{
    runners->items = mem_resize(runners->items, (runners->count + 1) * sizeof *runners->items);
    struct sim_runner *runner = &runners->items[runners->count++];
    *runner = (struct sim_runner){.id = id, .was_probed = true};
    return runner;
}

static int64_t now_ms(const struct sim_node *node)
{
    return node->sim->events.now_ms;
}

static void on_pass(struct sim_event *event);

static void arm_pass(struct sim_node *node, int64_t delay_ms)
{
    uint64_t pass = ++node->runners.pass;
    events_add(&node->sim->events, delay_ms, on_pass, node)->tag = pass;
}

static void changed(struct sim_node *node)
{
    arm_pass(node, 0);
    sim_node_mark_report(node);
}

void sim_runners_wake(struct sim_node *node)
{
    changed(node);
}

static void fail(struct sim_node *node, struct sim_runner *runner)
{
    int64_t served_ms =
        runner->phase == PHASE_SERVING ? now_ms(node) - runner->serving_since_ms : 0;
    runner->failures = restart_failures(runner->failures, served_ms);
    runner->retry_at_ms = now_ms(node) + restart_delay_ms(runner->failures);
    runner->phase = PHASE_FAILED;
    runner->start = 0;
    changed(node);
}

/* ---- what the engines do ---- */

void sim_runner_engine_ended(struct sim_node *node, int64_t start)
{
    struct sim_runner *runner = find_by_start(&node->runners, start);
    if (!runner)
        return;
    runner->was_probed = true;
    if (runner->phase != PHASE_STOPPING || runner->stop == STOP_STALLED) {
        fail(node, runner);
        return;
    }
    runner->phase = PHASE_NEW;
    runner->start = 0;
    changed(node);
}

/* The number is the engine's start time, the tag the worker's life. */
static void on_probe(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (event->tag != node->life)
        return;
    struct sim_runner *runner = find_by_start(&node->runners, event->number);
    const struct sim_engine *engine = machine_find(&node->machine, event->number);
    if (!runner || !engine || runner->phase != PHASE_STARTING)
        return;
    runner->was_probed = true;
    if (engine->is_serving) {
        runner->phase = PHASE_SERVING;
        runner->serving_since_ms = now_ms(node);
    }
    changed(node);
}

static void probe_soon(struct sim_node *node, int64_t start, int64_t within_ms)
{
    int64_t delay_ms = rng_between(&node->sim->rng, 1, within_ms);
    struct sim_event *event = events_add(&node->sim->events, delay_ms, on_probe, node);
    event->number = start;
    event->tag = node->life;
}

void sim_runner_engine_serves(struct sim_node *node, int64_t start)
{
    if (node->is_up)
        probe_soon(node, start, 500);
}

static void observe_engine(struct sim_node *node, struct sim_runner *runner, int64_t start)
{
    runner->phase = PHASE_STARTING;
    runner->start = start;
    runner->progress_at_ms = now_ms(node);
    changed(node);
}

/* ---- carrying out effects ---- */

static void spawn(struct sim_node *node, struct sim_runner *runner)
{
    struct sim *sim = node->sim;
    struct sim_engine like = {
        .instance_id = runner->id, .model_id = runner->model_id, .generation = runner->generation};
    memcpy(like.settings, runner->settings, sizeof like.settings);
    const struct sim_engine *engine = machine_spawn(node, &like);
    struct sim_record record = {.instance_id = runner->id,
                                .pid = engine->pid,
                                .start = engine->start,
                                .model_id = runner->model_id,
                                .generation = runner->generation};
    if (rng_chance(&sim->rng, sim->faults.mix[FAULT_DEATH_AFTER_SPAWN])) {
        sim_node_kill(node);
        return;
    }
    machine_save_record(&node->machine, &record);
    observe_engine(node, runner, record.start);
}

static void on_prepared(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_runner *runner = find(&node->runners, event->number);
    if (!node->is_up || !runner || runner->phase != PHASE_PREPARING || runner->job != event->tag)
        return;
    if (rng_chance(&node->sim->rng, node->sim->faults.mix[FAULT_PREPARE_FAILS])) {
        fail(node, runner);
        return;
    }
    runner->phase = PHASE_PREPARED;
    changed(node);
}

/* What an engine would be started with. */
static void take_wanted(struct sim_runner *runner, const struct desired_instance *wanted)
{
    const struct string_list *parameters = &wanted->backend_parameters;
    runner->model_id = wanted->model_id;
    runner->generation = wanted->model_generation;
    snprintf(runner->settings, sizeof runner->settings, "%s",
             parameters->count ? parameters->items[0] : "");
}

static void start(struct sim_node *node, struct sim_runner *runner,
                  const struct desired_instance *wanted)
{
    take_wanted(runner, wanted);
    runner->phase = PHASE_PREPARING;
    runner->job = ++node->runners.last_job;
    int64_t delay_ms = rng_between(&node->sim->rng, 1, 1000);
    struct sim_event *event = events_add(&node->sim->events, delay_ms, on_prepared, node);
    event->number = runner->id;
    event->tag = runner->job;
}

/* The number is the engine's start time, the tag the worker's life. */
static void on_term_grace(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (event->tag == node->life)
        machine_kill(node, event->number);
}

static void stop(struct sim_node *node, struct sim_runner *runner, enum stop_reason reason)
{
    struct sim_engine *engine = machine_find(&node->machine, runner->start);
    assert(engine);
    runner->phase = PHASE_STOPPING;
    runner->stop = reason;
    runner->was_probed = true;
    truth_engine_stops(node, runner->id, engine);
    machine_term(node, runner->start);
    struct sim_event *event =
        events_add(&node->sim->events, PROCESS_TERM_GRACE_MS, on_term_grace, node);
    event->number = runner->start;
    event->tag = node->life;
}

static void renew(struct sim_runner *runner, const struct desired_instance *wanted)
{
    runner->failures = 0;
    take_wanted(runner, wanted);
    runner->phase = PHASE_NEW;
}

static void carry_out(struct sim_node *node, const struct effect *effect)
{
    struct sim_runners *runners = &node->runners;
    struct sim_runner *runner = find(runners, effect->id);
    switch (effect->kind) {
    case EFFECT_ADD:
        runner = add(runners, effect->id);
        renew(runner, effect->desired);
        return;
    case EFFECT_START:
        start(node, runner, effect->desired);
        return;
    case EFFECT_LAUNCH:
        spawn(node, runner);
        return;
    case EFFECT_STOP:
        stop(node, runner, effect->stop);
        return;
    case EFFECT_RENEW:
        renew(runner, effect->desired);
        return;
    case EFFECT_REMOVE:
        machine_remove_record(&node->machine, runner->id);
        *runner = runners->items[--runners->count];
        return;
    }
}

/* ---- the pass ---- */

static struct observed_instance observe(struct sim_node *node, struct sim_runner *runner)
{
    const struct sim_engine *engine = machine_find(&node->machine, runner->start);
    if (engine && !engine->is_wedged)
        runner->progress_at_ms = now_ms(node);
    return (struct observed_instance){.id = runner->id,
                                      .model_generation = runner->generation,
                                      .phase = runner->phase,
                                      .failures = runner->failures,
                                      .retry_at_ms = runner->retry_at_ms,
                                      .progress_at_ms = runner->progress_at_ms};
}

static void on_pass(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    struct sim_runners *runners = &node->runners;
    if (!node->is_up || event->tag != runners->pass)
        return;
    size_t count = runners->count;
    auto_free struct observed_instance *observed = mem_alloc_array(count + 1, sizeof *observed);
    for (size_t i = 0; i < count; i++)
        observed[i] = observe(node, &runners->items[i]);
    struct effects effects = {0};
    int64_t wake_ms = worker_reconcile(&node->desired, observed, count, now_ms(node), &effects);
    /* A launch may be the worker's end, and the desired state's with it. */
    for (size_t i = 0; node->is_up && i < effects.count; i++)
        carry_out(node, &effects.items[i]);
    if (effects.count && node->is_up)
        changed(node);
    else if (wake_ms != INT64_MAX && node->is_up)
        arm_pass(node, wake_ms > now_ms(node) ? wake_ms - now_ms(node) : 0);
    effects_fini(&effects);
}

/* ---- adoption ---- */

static void adopt_engine(struct sim_node *node, struct sim_runner *runner,
                         const struct sim_engine *engine)
{
    observe_engine(node, runner, engine->start);
    runner->was_probed = false;
    probe_soon(node, engine->start, RUNNER_ADOPTED_PROBE_MS);
}

static void adopt_recorded(struct sim_node *node, const struct sim_record *record)
{
    bool by_pid = node->sim->sabotage == SABOTAGE_ADOPT_BY_PID;
    const struct sim_engine *engine = machine_find_pid(&node->machine, record->pid);
    struct sim_runner *runner = add(&node->runners, record->instance_id);
    runner->model_id = record->model_id;
    runner->generation = record->generation;
    if (engine && (by_pid || engine->start == record->start))
        adopt_engine(node, runner, engine);
    else
        fail(node, runner);
}

/* An engine that was started just before the worker died: its record is older, or there is none. */
static void adopt_labelled(struct sim_node *node, const struct sim_engine *engine)
{
    if (!engine->instance_id || find_by_start(&node->runners, engine->start))
        return;
    struct sim_runner *runner = find(&node->runners, engine->instance_id);
    if (runner && runner->start)
        return;
    if (!runner)
        runner = add(&node->runners, engine->instance_id);
    runner->model_id = engine->model_id;
    runner->generation = engine->generation;
    runner->failures = 0;
    struct sim_record record = {.instance_id = engine->instance_id,
                                .pid = engine->pid,
                                .start = engine->start,
                                .model_id = engine->model_id,
                                .generation = engine->generation};
    machine_save_record(&node->machine, &record);
    adopt_engine(node, runner, engine);
}

void sim_runners_start(struct sim_node *node)
{
    struct sim_machine *machine = &node->machine;
    for (size_t i = 0; i < machine->record_count; i++)
        adopt_recorded(node, &machine->records[i]);
    for (size_t i = 0; i < machine->engine_count; i++)
        if (node->sim->sabotage != SABOTAGE_ADOPT_RECORDED)
            adopt_labelled(node, &machine->engines[i]);
}

void sim_runners_fini(struct sim_runners *runners)
{
    free(TAKE(runners->items));
    runners->count = 0;
    runners->pass++;
    runners->last_job++;
}

/* ---- the report ---- */

bool sim_runners_are_settled(const struct sim_runners *runners)
{
    for (size_t i = 0; i < runners->count; i++)
        if (!runners->items[i].was_probed)
            return false;
    return true;
}

static enum instance_state state_of(const struct sim_runner *runner)
{
    switch (runner->phase) {
    case PHASE_NEW:
    case PHASE_PREPARING:
    case PHASE_PREPARED:
        return INSTANCE_INITIALIZING;
    case PHASE_STARTING:
        return INSTANCE_STARTING;
    case PHASE_SERVING:
        return INSTANCE_RUNNING;
    case PHASE_STOPPING:
        return runner->stop == STOP_STALLED ? INSTANCE_ERROR : INSTANCE_INITIALIZING;
    case PHASE_FAILED:
        break;
    }
    return INSTANCE_ERROR;
}

void sim_runners_write_report(const struct sim_node *node, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < node->runners.count; i++) {
        const struct sim_runner *runner = &node->runners.items[i];
        json_begin_object(w);
        json_put_int(w, "id", runner->id);
        if (node->sim->sabotage != SABOTAGE_ANY_GENERATION)
            json_put_int(w, "model_generation", runner->generation);
        json_put_string(w, "state", instance_state_name(state_of(runner)));
        json_put_string(w, "state_message", "");
        json_put_int(w, "pid", runner->start);
        json_put_int(w, "port", runner->start ? 40000 : 0);
        json_end_object(w);
    }
    json_end_array(w);
}
