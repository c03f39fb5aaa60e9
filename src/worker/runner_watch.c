/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen of a process that lives: readiness, health, progress, connections. */
#include "proc/logfile.h"
#include "proc/memory_kills.h"
#include "worker/launch.h"
#include "worker/runner_priv.h"

static bool has_engine(const struct runner *runner)
{
    return runner->phase == PHASE_STARTING || runner->phase == PHASE_SERVING;
}

/* ---- progress ---- */

static uint64_t log_size(const struct runner *runner)
{
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    return logfile_size(runner->host->serve_dir, name, (unsigned)runner->record.run);
}

/* A starting engine has time as long as it does something: reads, computes, allocates or logs. */
static void look_for_progress(struct runner *runner)
{
    if (runner_now_ms(runner) - runner->progress_seen_ms < RUNNER_PROGRESS_MS)
        return;
    runner->progress_seen_ms = runner_now_ms(runner);
    runner->memory_kills = memory_kills_read();
    struct proc_progress progress = runner->progress;
    (void)!proc_read_progress(process_identity(runner->process), &progress);
    uint64_t log_bytes = log_size(runner);
    const struct proc_progress *before = &runner->progress;
    if (progress.cpu_ticks != before->cpu_ticks || progress.read_bytes != before->read_bytes ||
        progress.rss_bytes != before->rss_bytes || log_bytes != runner->log_bytes)
        runner->progress_at_ms = runner_now_ms(runner);
    runner->progress = progress;
    runner->log_bytes = log_bytes;
}

/* ---- serving ---- */

/* The time since when survives a restart of the worker, so that health isn't begun anew. */
static void enter_serving(struct runner *runner)
{
    struct engine_record *record = &runner->record;
    int64_t now_ms = runner_now_ms(runner);
    if (record->serving_since_ms <= 0 || record->serving_since_ms > now_ms)
        record->serving_since_ms = now_ms;
    runner->serving_since_ms = record->serving_since_ms;
    runner->may_serve = true;
    runner->missed_probes = 0;
    runner_set_phase(runner, PHASE_SERVING);
    runner_save_or_warn(runner);
    runner_begin_measure(runner);
}

static void miss_probe(struct runner *runner, const char *text)
{
    runner->missed_probes++;
    if (runner->missed_probes != RUNNER_HEALTH_MISSES)
        return;
    trouble_set(&runner->fault, REASON_PROBE_FAILS,
                "the engine lives but its health probe fails: %s", text);
    trouble_add_text(&runner->fault, "probe", text);
    log_warning("instance", "%s: %s", runner->wanted.name, runner->fault.text);
    runner_changed(runner);
}

static void pass_probe(struct runner *runner)
{
    if (runner->missed_probes >= RUNNER_HEALTH_MISSES) {
        trouble_fini(&runner->fault);
        runner_changed(runner);
    }
    runner->missed_probes = 0;
}

/* What was a guess of an adopted engine's state is known now. */
static void note_answer(struct runner *runner)
{
    bool is_first = !runner->was_probed;
    runner->was_probed = true;
    if (is_first)
        runner_changed(runner);
}

/* One that served when the worker went away may be too busy to answer at once. */
static bool has_benefit_of_doubt(struct runner *runner)
{
    return runner->phase == PHASE_STARTING && runner->may_serve && !runner->was_probed &&
           ++runner->missed_probes < RUNNER_HEALTH_MISSES;
}

void runner_on_probe(struct probe *probe, bool serves, const char *text, void *ctx)
{
    struct runner *runner = ctx;
    if (!serves && has_benefit_of_doubt(runner))
        return;
    if (runner->phase == PHASE_STARTING && serves) {
        probe->interval_ms = RUNNER_HEALTH_MS;
        timer_start(&probe->timer, RUNNER_HEALTH_MS);
        enter_serving(runner);
    } else if (runner->phase == PHASE_STARTING) {
        look_for_progress(runner);
    } else {
        runner->memory_kills = memory_kills_read();
        if (serves)
            pass_probe(runner);
        else
            miss_probe(runner, text);
    }
    note_answer(runner);
}

/* ---- ports ---- */

static void look_for_quiet(struct runner *runner, const struct port_use *use)
{
    bool was_quiet = runner->quiet_since_ms != INT64_MAX;
    bool is_quiet = use && use->connections == 0;
    if (is_quiet == was_quiet)
        return;
    runner->quiet_since_ms = is_quiet ? runner_now_ms(runner) : INT64_MAX;
    runner_changed(runner);
}

void runner_on_port(struct port_watch *watch, const struct port_use *use, void *ctx)
{
    struct runner *runner = ctx;
    bool is_up = use && use->listeners > 0;
    if (runner->wanted.draining)
        look_for_quiet(runner, use);
    if (runner->phase == PHASE_STARTING && runner->wanted.rank > 0) {
        if (is_up && !runner->wanted.draining)
            port_watch_stop(watch);
        if (is_up)
            enter_serving(runner);
        else
            look_for_progress(runner);
    }
    note_answer(runner);
}

/* ---- draining ---- */

static void begin_drain(struct runner *runner)
{
    struct engine_record *record = &runner->record;
    int64_t now_ms = runner_now_ms(runner);
    if (record->draining_since_ms <= 0 || record->draining_since_ms > now_ms) {
        record->draining_since_ms = now_ms;
        log_info("instance", "%s: drains, for at most %lld s", runner->wanted.name,
                 (long long)runner->host->drain_timeout_ms / 1000);
        runner_save_or_warn(runner);
    }
    if (!runner->may_serve)
        return;
    /* The probe's own connection must not count; stopping it closes those that the relay keeps. */
    probe_stop(&runner->probe);
    note_answer(runner);
    if (runner_port(runner) && !port_watch_runs(&runner->port_watch))
        port_watch_start(&runner->port_watch, runner_port(runner), RUNNER_DRAIN_MS);
}

/* Asks for readiness and health, as far as there is anybody to ask. */
static void look_after(struct runner *runner, int64_t interval_ms)
{
    if (runner->record.ready_path) {
        probe_start(&runner->probe, runner_port(runner), runner->record.ready_path, interval_ms);
    } else if (runner->phase == PHASE_STARTING && runner_port(runner)) {
        port_watch_start(&runner->port_watch, runner_port(runner), interval_ms);
    } else if (runner->phase == PHASE_STARTING) {
        runner->was_probed = true; /* nothing of it can be seen but that it lives */
        enter_serving(runner);
    }
}

/* Control has changed its mind. */
static void end_drain(struct runner *runner)
{
    runner->record.draining_since_ms = 0;
    runner->quiet_since_ms = INT64_MAX;
    port_watch_stop(&runner->port_watch);
    log_info("instance", "%s: drains no longer", runner->wanted.name);
    look_after(runner, runner->phase == PHASE_SERVING ? RUNNER_HEALTH_MS : RUNNER_ADOPTED_PROBE_MS);
    runner_save_or_warn(runner);
}

void runner_observe_drain(struct runner *runner)
{
    if (!has_engine(runner))
        return;
    if (runner->wanted.draining)
        begin_drain(runner);
    else if (runner->record.draining_since_ms)
        end_drain(runner);
}

/* ---- begin and end ---- */

void runner_observe_engine(struct runner *runner, int64_t probe_ms)
{
    runner->was_probed = false;
    runner->progress_at_ms = runner_now_ms(runner);
    runner->memory_kills = memory_kills_read();
    runner_set_phase(runner, PHASE_STARTING);
    if (runner->wanted.draining && runner->may_serve)
        begin_drain(runner);
    else
        look_after(runner, probe_ms);
}

void runner_stop_observing(struct runner *runner)
{
    probe_stop(&runner->probe);
    port_watch_stop(&runner->port_watch);
    runner->look = 0;
    runner->missed_probes = 0;
    runner->quiet_since_ms = INT64_MAX;
    runner->was_probed = true;
}
