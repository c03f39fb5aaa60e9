/* SPDX-License-Identifier: Apache-2.0 */
/* How a try ends: what the process and its log tell becomes a reason. */
#include "proc/logfile.h"
#include "proc/memory_kills.h"
#include "worker/launch.h"
#include "worker/logscan.h"
#include "worker/runner_priv.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum {
    ERROR_SCAN_LINES = 200, /* of the log's end that are searched for an error */
    ERROR_SCAN_BYTES = 64 << 10,
    ERROR_READ_BYTES = 1 << 20,
};

/* ---- failing ---- */

/* So that a restart of the worker neither forgets the failures nor counts this one twice. */
static void record_failure(struct runner *runner)
{
    struct engine_record *record = &runner->record;
    const struct trouble *fault = &runner->fault;
    record->failures = runner->failures;
    record->state_reason = (int)fault->reason;
    mem_replace(&record->state_args, fault->args);
    mem_replace(&record->state_text, fault->text);
    mem_replace(&record->state_log, fault->log);
    record->retry_at_ms = runner->retry_at_ms;
    record->pid = 0;
    record->serving_since_ms = record->draining_since_ms = 0;
}

static void end_try(struct runner *runner, int64_t delay_ms, struct trouble *fault)
{
    prepared_fini(&runner->prepared);
    runner_release_ports(runner);
    runner->look = 0;
    runner->retry_at_ms = runner_now_ms(runner) + delay_ms;
    trouble_move(&runner->fault, fault);
    record_failure(runner);
    runner_set_phase(runner, PHASE_FAILED);
    runner_save_or_warn(runner);
}

void runner_fail(struct runner *runner, struct trouble *fault)
{
    int64_t served_ms =
        runner->phase == PHASE_SERVING ? runner_now_ms(runner) - runner->serving_since_ms : 0;
    runner->failures = restart_failures(runner->failures, served_ms);
    end_try(runner, restart_delay_ms(runner->failures), fault);
}

void runner_refuse(struct runner *runner, struct trouble *fault)
{
    end_try(runner, REFUSED_DELAY_MS, fault);
}

bool runner_is_refused(const struct runner *runner)
{
    return runner->phase == PHASE_FAILED && reason_is_memory_taken(runner->fault.reason) &&
           !runner_is_gang(runner);
}

void runner_recall_failure(struct runner *runner)
{
    const struct engine_record *record = &runner->record;
    int64_t now_ms = runner_now_ms(runner), latest_ms = now_ms + restart_delay_ms(runner->failures);
    /* After a reboot the clock has begun anew. */
    runner->retry_at_ms = record->retry_at_ms < latest_ms ? record->retry_at_ms : latest_ms;
    runner->fault = (struct trouble){.reason = (enum reason)record->state_reason,
                                     .args = mem_strdup(record->state_args),
                                     .text = mem_strdup(record->state_text),
                                     .log = mem_strdup(record->state_log)};
    runner_set_phase(runner, PHASE_FAILED);
}

/* ---- the log's end ---- */

static void read_log_end(const struct runner *runner, struct buf *ret)
{
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    const char *dir = runner->host->serve_dir;
    unsigned run = (unsigned)runner->record.run;
    struct logfile_cursor cursor = {0};
    int n = logfile_seek_tail(dir, name, run, ERROR_SCAN_LINES, &cursor, NULL);
    for (size_t total = 0; n >= 0 && total < ERROR_READ_BYTES; total += (size_t)n) {
        n = logfile_read(dir, name, run, &cursor, ERROR_SCAN_BYTES, ret, NULL);
        if (n <= 0)
            break;
        if (ret->len > ERROR_SCAN_BYTES) /* very long lines: the last ones tell */
            buf_drop(ret, ret->len - ERROR_SCAN_BYTES);
    }
}

/* ---- the process's end ---- */

static bool was_killed_for_memory(const struct runner *runner, struct process_exit exit)
{
    return exit.known && WIFSIGNALED(exit.status) && WTERMSIG(exit.status) == SIGKILL &&
           memory_kills_read() > runner->memory_kills;
}

/* By what the kernel says of its end. */
static void tell_exit(const struct runner *runner, struct process_exit exit, struct trouble *fault)
{
    auto_free char *text = process_exit_text(exit);
    bool by_signal = exit.known && WIFSIGNALED(exit.status);
    if (was_killed_for_memory(runner, exit)) {
        trouble_set(fault, REASON_OUT_OF_MEMORY, "%s: the machine has run out of memory", text);
    } else if (by_signal) {
        const char *name = sigabbrev_np(WTERMSIG(exit.status));
        trouble_set(fault, REASON_ENGINE_KILLED, "%s", text);
        trouble_add_text(fault, "signal", name ? name : "?");
    } else {
        trouble_set(fault, REASON_ENGINE_EXITED, "%s", text);
        if (exit.known)
            trouble_add_int(fault, "exit_code", WEXITSTATUS(exit.status));
        else
            trouble_add_text(fault, "exit_code", NULL);
    }
}

/* By what it said itself, which is nearer to the cause; false: nothing that is known. */
static bool tell_log(const struct runner *runner, struct process_exit exit, struct str log,
                     struct trouble *fault)
{
    char *line = NULL;
    enum reason reason = logscan_reason(log, &line);
    bool is_of_start = reason == REASON_PORT_TAKEN || reason == REASON_BAD_PARAMETERS;
    if (reason == REASON_NONE || (is_of_start && runner->phase != PHASE_STARTING)) {
        free(line);
        return false;
    }
    auto_free char *text = process_exit_text(exit);
    trouble_set(fault, reason, "%s", text);
    if (reason == REASON_PORT_TAKEN)
        trouble_add_int(fault, "port", runner_port(runner));
    if (reason == REASON_BAD_PARAMETERS)
        trouble_add_text(fault, "detail", line);
    trouble_take_log(fault, line);
    return true;
}

static void find_cause(const struct runner *runner, struct process_exit exit, struct trouble *fault)
{
    struct buf log = {0};
    read_log_end(runner, &log);
    if (!tell_log(runner, exit, buf_str(&log), fault)) {
        /* An engine that gave up had reasons to tell; one that was killed was in the middle of it.
         */
        bool gave_up = exit.known && WIFEXITED(exit.status);
        tell_exit(runner, exit, fault);
        trouble_take_log(fault, logscan_error_line(buf_str(&log), gave_up));
    }
    buf_fini(&log);
}

static void find_stall(const struct runner *runner, struct trouble *fault)
{
    struct buf log = {0};
    read_log_end(runner, &log);
    trouble_set(fault, REASON_STALLED, "no sign of work for %d minutes while starting, stopped",
                STALL_MS / 60000);
    trouble_add_int(fault, "minutes", STALL_MS / 60000);
    trouble_take_log(fault, logscan_error_line(buf_str(&log), true));
    buf_fini(&log);
}

static void end_on_purpose(struct runner *runner)
{
    runner_release_ports(runner);
    runner->record.pid = 0;
    runner->record.serving_since_ms = runner->record.draining_since_ms = 0;
    runner_set_phase(runner, PHASE_NEW);
    runner_save_or_warn(runner);
}

void runner_on_exit(struct process *process, struct process_exit exit, void *ctx)
{
    struct runner *runner = ctx;
    bool is_stopping = runner->phase == PHASE_STOPPING;
    bool on_purpose = is_stopping && runner->stop != STOP_STALLED;
    struct trouble fault = {0};
    if (is_stopping && !on_purpose)
        find_stall(runner, &fault);
    else if (!on_purpose)
        find_cause(runner, exit, &fault);
    runner_stop_observing(runner);
    runner_disturb_others(runner);
    process_free(TAKE(runner->process));
    if (on_purpose)
        end_on_purpose(runner);
    else
        runner_fail(runner, &fault);
}
