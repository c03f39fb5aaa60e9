/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/logfile.h"
#include "worker/launch.h"
#include "worker/runner_priv.h"

#include <assert.h>

/* ---- state ---- */

#define EDGE(phase) (1U << (phase))

static const unsigned edges[] = {
    [PHASE_NEW] = EDGE(PHASE_PREPARING) | EDGE(PHASE_STARTING) | EDGE(PHASE_FAILED),
    [PHASE_PREPARING] = EDGE(PHASE_PREPARED) | EDGE(PHASE_FAILED) | EDGE(PHASE_NEW),
    [PHASE_PREPARED] = EDGE(PHASE_STARTING) | EDGE(PHASE_FAILED) | EDGE(PHASE_NEW),
    [PHASE_STARTING] = EDGE(PHASE_SERVING) | EDGE(PHASE_STOPPING) | EDGE(PHASE_FAILED),
    [PHASE_SERVING] = EDGE(PHASE_STOPPING) | EDGE(PHASE_FAILED),
    [PHASE_STOPPING] = EDGE(PHASE_NEW) | EDGE(PHASE_FAILED),
    [PHASE_FAILED] = EDGE(PHASE_PREPARING) | EDGE(PHASE_NEW),
};

enum instance_state runner_state(const struct runner *runner)
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
        return INSTANCE_ERROR;
    }
    assert(false);
    return INSTANCE_ERROR;
}

/* The state's word, and for what only the log tells, one of our own. */
static const char *phase_word(const struct runner *runner)
{
    if (runner->phase == PHASE_STOPPING)
        return "stopping";
    if (runner->phase == PHASE_PREPARED)
        return "prepared";
    return runner->phase == PHASE_NEW ? "idle" : instance_state_name(runner_state(runner));
}

int runner_save(struct runner *runner, struct err *err)
{
    mem_replace(&runner->record.state, instance_state_name(runner_state(runner)));
    int rc = engine_record_save(runner->host->record_dir, &runner->record, err);
    runner->is_stale = rc < 0;
    return rc;
}

void runner_save_or_warn(struct runner *runner)
{
    struct err err = {0};
    bool was_stale = runner->is_stale;
    if (runner_save(runner, &err) < 0 && !was_stale)
        log_warning("instance", "%s: its record can't be written: %s", runner->wanted.name,
                    err.text);
}

void runner_changed(struct runner *runner)
{
    runner->host->on_change(runner, runner->host->ctx);
}

void runner_set_phase(struct runner *runner, enum runner_phase phase)
{
    assert(edges[runner->phase] & EDGE(phase));
    runner->phase = phase;
    auto_free char *message = runner_message(runner);
    log_write(phase == PHASE_FAILED ? LOG_WARNING : LOG_INFO, "instance",
              "%s: %s port=%u pid=%lld%s%s", runner->wanted.name, phase_word(runner),
              runner_port(runner), runner->process ? (long long)runner->record.pid : 0LL,
              *message ? ": " : "", message);
    runner_changed(runner);
}

void runner_release_ports(struct runner *runner)
{
    int_list_fini(&runner->record.ports);
}

/* ---- what the owner carries out ---- */

void runner_renew(struct runner *runner, const struct desired_instance *wanted)
{
    assert(!runner->process);
    runner_drop_job(runner);
    prepared_fini(&runner->prepared);
    runner_release_ports(runner);
    runner->look = 0;
    runner->launch_at_ms = 0;
    if (wanted->model_generation != runner->wanted.model_generation)
        runner->failures = 0;
    desired_instance_copy(&runner->wanted, wanted);
    if (runner->phase == PHASE_NEW)
        return;
    trouble_fini(&runner->fault);
    runner_set_phase(runner, PHASE_NEW);
}

void runner_stop(struct runner *runner, enum stop_reason reason)
{
    runner->stop = reason;
    runner_stop_observing(runner);
    trouble_fini(&runner->fault);
    if (reason == STOP_STALLED) {
        trouble_set(&runner->fault, REASON_STALLED, "no sign of work while starting");
        trouble_add_int(&runner->fault, "minutes", STALL_MS / 60000);
    }
    runner_set_phase(runner, PHASE_STOPPING);
    process_stop(runner->process, PROCESS_TERM_GRACE_MS);
}

static void take_token(struct runner *runner)
{
    const char *recorded = runner->record.token, *token = runner->wanted.token;
    if (recorded && strcmp(recorded, token) == 0)
        return;
    mem_free_secret(runner->record.token);
    runner->record.token = mem_strdup(token);
    if (runner->process)
        runner_save_or_warn(runner);
}

void runner_update(struct runner *runner, const struct desired_instance *wanted)
{
    if (desired_instance_is_same_try(wanted, &runner->wanted)) {
        desired_instance_copy(&runner->wanted, wanted);
        take_token(runner);
    }
    runner->wanted.draining = wanted->draining;
    runner_observe_drain(runner);
}

/* ---- life ---- */

static struct runner *make(const struct runner_host *host)
{
    struct runner *runner = mem_alloc(sizeof *runner);
    runner->host = host;
    runner->was_probed = true;
    runner->quiet_since_ms = INT64_MAX;
    probe_init(&runner->probe, host->loop, host->pool, runner_on_probe, runner);
    port_watch_init(&runner->port_watch, host->loop, runner_on_port, runner);
    return runner;
}

struct runner *runner_new(const struct runner_host *host, const struct desired_instance *wanted)
{
    struct runner *runner = make(host);
    desired_instance_copy(&runner->wanted, wanted);
    engine_record_init(&runner->record, wanted->id);
    return runner;
}

/* What the record tells of the desired instance, until control says more. */
static void recall_wanted(struct runner *runner)
{
    const struct engine_record *record = &runner->record;
    runner->wanted = (struct desired_instance){.id = record->id,
                                               .name = mem_strdup(record->name),
                                               .model_name = mem_strdup(record->model_name),
                                               .model_generation = record->model_generation,
                                               .restart_on_error = record->restart_on_error,
                                               .max_restarts = record->max_restarts,
                                               .draining = record->draining_since_ms > 0,
                                               .rank = record->rank,
                                               .rank_count = record->rank_count,
                                               .gang_epoch = record->gang_epoch,
                                               .token = mem_strdup(record->token)};
    runner->model_bytes = record->model_bytes;
    runner->failures = (unsigned)record->failures;
}

static void adopt_engine(struct runner *runner, bool is_recorded)
{
    const char *state = runner->record.state;
    log_info("instance", "%s: its engine lives and is adopted", runner->wanted.name);
    runner->record.state_reason = REASON_NONE;
    /* Of one whose record is lost nobody knows. */
    runner->may_serve =
        !is_recorded || !state || strcmp(state, instance_state_name(INSTANCE_RUNNING)) == 0;
    runner_observe_engine(runner, RUNNER_ADOPTED_PROBE_MS);
    if (!is_recorded)
        runner_save_or_warn(runner);
}

/* Without a process: what it was when the worker went away. */
static void adopt_end(struct runner *runner)
{
    struct trouble fault = {0};
    /* The other ranks of a gang may have been told of its ports. */
    if (runner->record.rank_count == 1 || runner->record.pid > 0)
        runner_release_ports(runner);
    if (runner->record.pid > 0) {
        trouble_set(&fault, REASON_LOST_WHILE_AWAY, "the engine ended while the worker was away");
        runner_fail(runner, &fault);
    } else if (runner->record.state_reason != REASON_NONE) {
        runner_recall_failure(runner);
    }
}

struct runner *runner_adopt(const struct runner_host *host, struct found_engine *found)
{
    struct runner *runner = make(host);
    runner->record = found->record;
    found->record = (struct engine_record){0};
    recall_wanted(runner);
    struct proc_identity id = engine_identity(&runner->record);
    if (found->is_alive &&
        process_watch(host->loop, &id, runner_on_exit, runner, &runner->process) == 0)
        adopt_engine(runner, found->is_recorded);
    else
        adopt_end(runner);
    return runner;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    runner_drop_job(runner);
    prepared_fini(&runner->prepared);
    probe_stop(&runner->probe);
    port_watch_stop(&runner->port_watch);
    process_free(runner->process);
    desired_instance_fini(&runner->wanted);
    engine_record_fini(&runner->record);
    trouble_fini(&runner->fault);
    claim_fini(&runner->before);
    free(runner);
}

void runner_remove(struct runner *runner)
{
    assert(!runner->process);
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    engine_record_remove(runner->host->record_dir, runner->record.id);
    logfile_remove_all(runner->host->serve_dir, name);
    log_info("instance", "%s: removed", runner->wanted.name);
    runner_free(runner);
}

void runner_tend(struct runner *runner)
{
    if (runner->is_stale)
        runner_save_or_warn(runner);
    if (!runner->process)
        return;
    char name[LAUNCH_LOG_NAME_MAX];
    struct err err = {0};
    launch_log_name(runner->record.id, name);
    if (logfile_rotate(runner->host->serve_dir, name, (unsigned)runner->record.run, LOG_PART_MAX,
                       &err) < 0)
        log_warning("instance", "%s: its log can't be bounded: %s", runner->wanted.name, err.text);
}
