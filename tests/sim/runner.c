/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/runner.h"

#include "proc/process.h"
#include "sim/runner_priv.h"
#include "worker/runner.h"

#include <assert.h>

enum { DRAIN_TIMEOUT_MS = 120000 };

struct sim_runner *sim_runner_find(struct sim_runners *runners, int64_t id)
{
    for (size_t i = 0; i < runners->count; i++)
        if (runners->items[i].id == id)
            return &runners->items[i];
    return NULL;
}

struct sim_runner *sim_runner_by_start(struct sim_runners *runners, int64_t start)
{
    for (size_t i = 0; i < runners->count; i++)
        if (runners->items[i].start == start)
            return &runners->items[i];
    return NULL;
}

struct sim_runner *sim_runner_add(struct sim_runners *runners, int64_t id)
{
    runners->items = mem_resize(runners->items, (runners->count + 1) * sizeof *runners->items);
    struct sim_runner *runner = &runners->items[runners->count++];
    *runner = (struct sim_runner){.id = id, .was_probed = true};
    return runner;
}

static void on_pass(struct sim_event *event);

static void arm_pass(struct sim_node *node, int64_t delay_ms)
{
    uint64_t pass = ++node->runners.pass;
    events_add(&node->sim->events, delay_ms, on_pass, node)->tag = pass;
}

void sim_runner_changed(struct sim_node *node)
{
    arm_pass(node, 0);
    sim_node_mark_report(node);
}

/* ---- records ---- */

bool sim_runner_save(struct sim_node *node, const struct sim_runner *runner)
{
    const struct sim_engine *engine = machine_find(&node->machine, runner->start);
    const struct sim_record record = {.instance_id = runner->id,
                                      .pid = engine ? engine->pid : 0,
                                      .start = runner->start,
                                      .what = runner->what,
                                      .ports = runner->ports,
                                      .failures = runner->failures,
                                      .has_failed = runner->phase == PHASE_FAILED,
                                      .retry_at_ms = runner->retry_at_ms,
                                      .serving_since_ms = runner->serving_since_ms,
                                      .draining_since_ms = runner->draining_since_ms,
                                      .restart_count = runner->restart_count,
                                      .last_restart_ms = runner->last_restart_ms};
    return machine_save_record(node, &record);
}

void sim_runner_fail(struct sim_node *node, struct sim_runner *runner)
{
    int64_t now_ms = runner_now_ms(node);
    int64_t served_ms = runner->phase == PHASE_SERVING ? now_ms - runner->serving_since_ms : 0;
    runner->failures = restart_failures(runner->failures, served_ms);
    runner->retry_at_ms = now_ms + restart_delay_ms(runner->failures);
    runner->phase = PHASE_FAILED;
    runner->start = 0;
    runner->ports = (struct sim_ports){0};
    (void)!sim_runner_save(node, runner);
    sim_runner_changed(node);
}

/* ---- what the engines do ---- */

static void end_on_purpose(struct sim_node *node, struct sim_runner *runner)
{
    runner->phase = PHASE_NEW;
    runner->start = 0;
    runner->ports = (struct sim_ports){0};
    runner->serving_since_ms = runner->draining_since_ms = 0;
    (void)!sim_runner_save(node, runner);
    sim_runner_changed(node);
}

void sim_runner_engine_ended(struct sim_node *node, int64_t start)
{
    struct sim_runner *runner = sim_runner_by_start(&node->runners, start);
    if (!runner)
        return;
    runner->was_probed = true;
    if (runner->phase == PHASE_STOPPING && runner->stop != STOP_STALLED)
        end_on_purpose(node, runner);
    else
        sim_runner_fail(node, runner);
}

/* The number is the engine's start time, the tag the worker's life. */
static void on_probe(struct sim_event *event)
{
    struct sim_node *node = event->ctx;
    if (event->tag != node->life)
        return;
    struct sim_runner *runner = sim_runner_by_start(&node->runners, event->number);
    const struct sim_engine *engine = machine_find(&node->machine, event->number);
    if (!runner || !engine || runner->phase != PHASE_STARTING)
        return;
    runner->was_probed = true;
    if (engine->is_serving) {
        runner->phase = PHASE_SERVING;
        runner->serving_since_ms = runner_now_ms(node);
    }
    sim_runner_changed(node);
}

void sim_runner_probe_soon(struct sim_node *node, int64_t start, int64_t within_ms)
{
    int64_t delay_ms = rng_between(&node->sim->rng, 1, within_ms);
    struct sim_event *event = events_add(&node->sim->events, delay_ms, on_probe, node);
    event->number = start;
    event->tag = node->life;
}

void sim_runner_engine_serves(struct sim_node *node, int64_t start)
{
    if (node->is_up)
        sim_runner_probe_soon(node, start, 500);
}

void sim_runner_observe(struct sim_node *node, struct sim_runner *runner, int64_t start)
{
    runner->phase = PHASE_STARTING;
    runner->start = start;
    runner->progress_at_ms = runner_now_ms(node);
    sim_runner_changed(node);
}

/* ---- carrying out effects ---- */

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
    node->sim->tally->counts[TALLY_ENGINE_STALLED] += reason == STOP_STALLED;
    node->sim->tally->counts[TALLY_ENGINE_DRAINED] += reason == STOP_DRAINED;
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
    runner->ports = (struct sim_ports){0};
    sim_runner_take_wanted(runner, wanted);
    runner->phase = PHASE_NEW;
}

static void carry_out(struct sim_node *node, const struct effect *effect)
{
    struct sim_runners *runners = &node->runners;
    struct sim_runner *runner = sim_runner_find(runners, effect->id);
    switch (effect->kind) {
    case EFFECT_ADD:
        renew(sim_runner_add(runners, effect->id), effect->desired);
        return;
    case EFFECT_START:
        sim_runner_start(node, runner, effect->desired);
        return;
    case EFFECT_LAUNCH:
        sim_runner_launch(node, runner);
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

/* Since when no request is under way at an engine that gets no new ones. */
static int64_t quiet_since(struct sim_node *node, const struct sim_runner *runner,
                           struct sim_engine *engine)
{
    int64_t now_ms = runner_now_ms(node);
    if (!engine || !runner->is_draining)
        return INT64_MAX;
    if (!engine->busy_until_ms) {
        bool is_long = rng_chance(&node->sim->rng, 100);
        engine->busy_until_ms =
            now_ms + rng_between(&node->sim->rng, 1, is_long ? 300000 : 20000);
    }
    return engine->busy_until_ms <= now_ms ? engine->busy_until_ms : INT64_MAX;
}

static struct observed_instance observe(struct sim_node *node, struct sim_runner *runner)
{
    struct sim_engine *engine = machine_find(&node->machine, runner->start);
    const struct sim_try *what = &runner->what;
    if (engine && !engine->is_wedged)
        runner->progress_at_ms = runner_now_ms(node);
    if (runner->is_draining && !runner->draining_since_ms)
        runner->draining_since_ms = runner_now_ms(node);
    return (struct observed_instance){
        .id = runner->id,
        .model_generation = what->generation,
        .rank = what->rank,
        .gang_epoch = what->epoch,
        .phase = runner->phase,
        .failures = runner->failures,
        .retry_at_ms = runner->retry_at_ms,
        .progress_at_ms = runner->progress_at_ms,
        .quiet_since_ms = quiet_since(node, runner, engine),
        .drain_deadline_ms = runner->draining_since_ms + DRAIN_TIMEOUT_MS};
}

/* The next pass is due at `wake_ms`, or soon while something drains. */
static void look_again(struct sim_node *node, int64_t wake_ms)
{
    int64_t now_ms = runner_now_ms(node);
    for (size_t i = 0; i < node->runners.count; i++)
        if (node->runners.items[i].is_draining && node->runners.items[i].start &&
            wake_ms > now_ms + RUNNER_DRAIN_MS)
            wake_ms = now_ms + RUNNER_DRAIN_MS;
    if (wake_ms != INT64_MAX)
        arm_pass(node, wake_ms > now_ms ? wake_ms - now_ms : 0);
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
    int64_t wake_ms =
        worker_reconcile(&node->desired, observed, count, runner_now_ms(node), &effects);
    /* A launch may be the worker's end, and the desired state's with it. */
    for (size_t i = 0; node->is_up && i < effects.count; i++)
        carry_out(node, &effects.items[i]);
    if (effects.count && node->is_up)
        sim_runner_changed(node);
    else if (node->is_up)
        look_again(node, wake_ms);
    effects_fini(&effects);
}

void sim_runners_wake(struct sim_node *node)
{
    for (size_t i = 0; i < node->runners.count; i++) {
        struct sim_runner *runner = &node->runners.items[i];
        const struct desired_instance *wanted = desired_state_find(&node->desired, runner->id);
        if (wanted)
            runner->is_draining = wanted->draining;
        if (wanted && !wanted->draining)
            runner->draining_since_ms = 0;
    }
    sim_runner_changed(node);
}

/* ---- adoption ---- */

static void adopt_engine(struct sim_node *node, struct sim_runner *runner,
                         const struct sim_engine *engine)
{
    sim_runner_observe(node, runner, engine->start);
    runner->what = engine->what;
    runner->ports = engine->ports;
    runner->was_probed = false;
    sim_runner_probe_soon(node, engine->start, RUNNER_ADOPTED_PROBE_MS);
}

static void recall(struct sim_runner *runner, const struct sim_record *record)
{
    runner->what = record->what;
    runner->ports = record->ports;
    runner->failures = record->failures;
    runner->serving_since_ms = record->serving_since_ms;
    runner->draining_since_ms = record->draining_since_ms;
    runner->restart_count = record->restart_count;
    runner->last_restart_ms = record->last_restart_ms;
}

static void adopt_recorded(struct sim_node *node, const struct sim_record *record)
{
    bool by_pid = node->sim->sabotage == SABOTAGE_ADOPT_BY_PID;
    const struct sim_engine *engine = machine_find_pid(&node->machine, record->pid);
    struct sim_runner *runner = sim_runner_add(&node->runners, record->instance_id);
    recall(runner, record);
    if (engine && (by_pid || engine->start == record->start)) {
        node->sim->tally->counts[TALLY_ENGINE_ADOPTED]++;
        adopt_engine(node, runner, engine);
    } else if (record->pid) {
        sim_runner_fail(node, runner);
    } else if (record->has_failed) {
        runner->phase = PHASE_FAILED;
        runner->retry_at_ms = record->retry_at_ms;
    }
}

/* An engine that was started just before the worker died: its record is older, or there is none. */
static void adopt_labelled(struct sim_node *node, const struct sim_engine *engine)
{
    if (!engine->instance_id || sim_runner_by_start(&node->runners, engine->start))
        return;
    struct sim_runner *runner = sim_runner_find(&node->runners, engine->instance_id);
    if (runner && runner->start)
        return;
    if (!runner)
        runner = sim_runner_add(&node->runners, engine->instance_id);
    node->sim->tally->counts[TALLY_ENGINE_ADOPTED_BY_LABEL]++;
    adopt_engine(node, runner, engine);
    (void)!sim_runner_save(node, runner);
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
