/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision, the relay and control are told of a runner. */
#include "worker/runner_priv.h"

#include <assert.h>

/* ---- the decision ---- */

static int64_t drain_deadline_ms(const struct runner *runner)
{
    if (!runner->wanted.draining)
        return INT64_MAX;
    if (!runner->may_serve)
        return 0; /* nobody was ever sent there */
    return runner->record.draining_since_ms + runner->host->drain_timeout_ms;
}

struct observed_instance runner_observe(const struct runner *runner)
{
    return (struct observed_instance){
        .id = runner->record.id,
        .model_generation = runner->wanted.model_generation,
        .rank = runner->wanted.rank,
        .gang_epoch = runner->wanted.gang_epoch,
        .phase = runner->phase,
        .failures = runner->failures,
        .is_refused = runner_is_refused(runner),
        .launch_at_ms = runner_launch_at_ms(runner),
        .retry_at_ms = runner->retry_at_ms,
        .progress_at_ms = runner->progress_at_ms,
        .quiet_since_ms = runner->quiet_since_ms,
        .drain_deadline_ms = drain_deadline_ms(runner),
    };
}

/* ---- words ---- */

/* What comes after a failure. Returns owned. */
static char *next_step(const struct runner *runner)
{
    if (runner_is_refused(runner))
        return mem_printf("; next look in %d s", REFUSED_DELAY_MS / 1000);
    switch (restart_judge(&runner->wanted, runner->failures)) {
    case RESTART_LATER:
        return mem_printf("; next try in %lld s",
                          (long long)restart_delay_ms(runner->failures) / 1000);
    case RESTART_NEVER:
        return mem_strdup("; no further try, restart_on_error is off");
    case RESTART_LIMITED:
        return mem_printf("; no further try after %u failures in a row", runner->failures);
    case RESTART_BY_GANG:
        return mem_strdup("");
    }
    assert(false);
    return NULL;
}

char *runner_message(const struct runner *runner)
{
    const struct trouble *fault = &runner->fault;
    if (runner->phase == PHASE_STOPPING && !fault->text)
        return mem_strdup(runner->stop == STOP_DRAINED ? "drained" : "not wanted any more");
    if (!fault->text)
        return mem_strdup("");
    auto_free char *next = runner->phase == PHASE_FAILED ? next_step(runner) : mem_strdup("");
    return mem_printf("%s%s%s%s", fault->text, next, fault->log ? ": " : "",
                      fault->log ? fault->log : "");
}

/* ---- the report ---- */

/* When no try follows that is the reason, and what happened an argument of it. */
static void write_reason(const struct runner *runner, struct json_writer *w)
{
    struct trouble end = {0};
    const struct trouble *fault = &runner->fault;
    enum restart_verdict verdict = runner->phase == PHASE_FAILED && !runner_is_refused(runner)
                                       ? restart_judge(&runner->wanted, runner->failures)
                                       : RESTART_LATER;
    if (verdict == RESTART_LIMITED) {
        end.reason = REASON_RESTART_LIMIT;
        trouble_add_int(&end, "restarts", runner->failures);
    } else if (verdict == RESTART_NEVER) {
        end.reason = REASON_RESTART_DISABLED;
    }
    if (end.reason != REASON_NONE) {
        trouble_add_text(&end, "reason", reason_name(fault->reason));
        fault = &end;
    }
    json_put_string(w, "state_reason", reason_name(fault->reason));
    json_add_key(w, "state_args");
    json_add_raw(w, fault->args ? str_of(fault->args) : STR("null"));
    trouble_fini(&end);
}

static bool is_prepared(const struct runner *runner)
{
    switch (runner->phase) {
    case PHASE_PREPARED:
    case PHASE_STARTING:
    case PHASE_SERVING:
        return true;
    case PHASE_NEW:
    case PHASE_PREPARING:
    case PHASE_STOPPING:
    case PHASE_FAILED:
        return false;
    }
    assert(false);
    return false;
}

static unsigned failures_now(const struct runner *runner)
{
    bool is_healthy = runner->phase == PHASE_SERVING &&
                      runner_now_ms(runner) - runner->serving_since_ms >= RESTART_HEALTHY_MS;
    return is_healthy ? 0 : runner->failures;
}

static void write_state(const struct runner *runner, struct json_writer *w)
{
    auto_free char *message = runner_message(runner);
    json_put_string(w, "state", instance_state_name(runner_state(runner)));
    write_reason(runner, w);
    json_put_string(w, "state_message", message);
    json_put_int(w, "failures", failures_now(runner));
    json_put_bool(w, "drained", runner->wanted.draining && !runner->process && !runner->job);
    json_put_int(w, "rank", runner->wanted.rank);
    json_put_int(w, "gang_epoch", runner->wanted.gang_epoch);
    json_put_bool(w, "prepared", is_prepared(runner));
}

static void write_process(const struct runner *runner, struct json_writer *w)
{
    const struct engine_record *record = &runner->record;
    json_put_int(w, "pid", runner->process ? record->pid : 0);
    json_put_int(w, "port", runner_port(runner));
    json_add_key(w, "ports");
    json_begin_array(w);
    for (size_t i = 0; i < record->ports.count; i++)
        json_add_int(w, record->ports.items[i]);
    json_end_array(w);
    json_put_string(w, "resolved_path", record->resolved_path);
    json_put_string(w, "served_name", runner->process ? record->model_name : NULL);
    json_put_int(w, "restart_count", record->restart_count);
    json_add_key(w, "last_restart_time");
    json_add_time(w, record->last_restart_time);
    json_put_int(w, "download_progress", record->resolved_path ? 100 : 0);
}

/* Before it has served nothing is known but that it will read its model's files. */
static void write_measured(const struct runner *runner, struct json_writer *w)
{
    const struct resource_claim least = {.ram_bytes = (uint64_t)runner->model_bytes};
    if (runner->record.measured_claim)
        json_add_raw(w, str_of(runner->record.measured_claim));
    else if (runner->model_bytes)
        claim_write(&least, w);
    else
        json_add_null(w);
}

void runner_write_report(const struct runner *runner, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "id", runner->record.id);
    json_put_int(w, "model_generation", runner->wanted.model_generation);
    write_state(runner, w);
    write_process(runner, w);
    json_add_key(w, "measured_claim");
    write_measured(runner, w);
    json_end_object(w);
}

/* ---- others ---- */

unsigned runner_port(const struct runner *runner)
{
    return runner->record.ports.count ? (unsigned)runner->record.ports.items[0] : 0;
}

bool runner_is_settled(const struct runner *runner)
{
    return runner->was_probed;
}
