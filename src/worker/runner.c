/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/runner.h"

#include "base/log.h"
#include "domain/instance.h"
#include "proc/logfile.h"
#include "worker/launch.h"
#include "worker/logscan.h"

#include <assert.h>
#include <stdio.h>
#include <sys/wait.h>

enum {
    ERROR_SCAN_LINES = 100, /* of the log's end that are searched for an error */
    ERROR_SCAN_BYTES = 64 << 10,
    ERROR_READ_BYTES = 1 << 20,
};

/* ---- state ---- */

#define EDGE(phase) (1U << (phase))

static const unsigned edges[] = {
    [PHASE_NEW] = EDGE(PHASE_PREPARING) | EDGE(PHASE_STARTING) | EDGE(PHASE_FAILED),
    [PHASE_PREPARING] = EDGE(PHASE_STARTING) | EDGE(PHASE_FAILED) | EDGE(PHASE_NEW),
    [PHASE_STARTING] = EDGE(PHASE_SERVING) | EDGE(PHASE_STOPPING) | EDGE(PHASE_FAILED),
    [PHASE_SERVING] = EDGE(PHASE_STOPPING) | EDGE(PHASE_FAILED),
    [PHASE_STOPPING] = EDGE(PHASE_NEW) | EDGE(PHASE_FAILED),
    [PHASE_FAILED] = EDGE(PHASE_PREPARING) | EDGE(PHASE_NEW),
};

static enum instance_state state_of(const struct runner *runner)
{
    switch (runner->phase) {
    case PHASE_NEW:
    case PHASE_PREPARING:
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
    return runner->phase == PHASE_NEW ? "idle" : instance_state_name(state_of(runner));
}

static void save_record(struct runner *runner)
{
    struct err err = {0};
    mem_replace(&runner->record.state, instance_state_name(state_of(runner)));
    if (engine_record_save(runner->host->record_dir, &runner->record, &err) < 0)
        log_warning("instance", "%s: its engine isn't recorded: %s", runner->wanted.name, err.text);
}

/* Takes `message` (NULL: all is well). */
static void set_message(struct runner *runner, char *message)
{
    free(runner->message);
    runner->message = message;
    runner->host->on_change(runner, runner->host->ctx);
}

/* Takes `message`. */
static void set_phase(struct runner *runner, enum runner_phase phase, char *message)
{
    assert(edges[runner->phase] & EDGE(phase));
    runner->phase = phase;
    log_write(phase == PHASE_FAILED ? LOG_WARNING : LOG_INFO, "instance",
              "%s: %s port=%u pid=%lld%s%s", runner->wanted.name, phase_word(runner),
              runner_port(runner), runner->process ? (long long)runner->record.pid : 0LL,
              message ? ": " : "", message ? message : "");
    set_message(runner, message);
}

static int64_t now_ms(const struct runner *runner)
{
    return loop_now_ms(runner->host->loop);
}

/* Enters FAILED. `cause` is what happened, `detail` what the engine said about it or NULL. */
static void fail(struct runner *runner, const char *cause, const char *detail)
{
    int64_t served_ms =
        runner->phase == PHASE_SERVING ? now_ms(runner) - runner->serving_since_ms : 0;
    runner->failures = restart_failures(runner->failures, served_ms);
    int64_t delay_ms = restart_delay_ms(runner->failures);
    runner->retry_at_ms = now_ms(runner) + delay_ms;
    char next_try[48] = "";
    if (runner->wanted.restart_on_error)
        snprintf(next_try, sizeof next_try, "; next try in %lld s", (long long)delay_ms / 1000);
    set_phase(runner, PHASE_FAILED,
              mem_printf("%s%s%s%s", cause, next_try, detail ? ": " : "", detail ? detail : ""));
}

/* ---- observing the engine ---- */

static uint64_t log_size(const struct runner *runner)
{
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    return logfile_size(runner->host->serve_dir, name, (unsigned)runner->record.run);
}

/* A starting engine has time as long as it does something: reads, computes, allocates or logs. */
static void look_for_progress(struct runner *runner)
{
    if (now_ms(runner) - runner->progress_seen_ms < RUNNER_PROGRESS_MS)
        return;
    runner->progress_seen_ms = now_ms(runner);
    struct proc_progress progress = runner->progress;
    (void)!proc_read_progress(process_identity(runner->process), &progress);
    uint64_t log_bytes = log_size(runner);
    const struct proc_progress *before = &runner->progress;
    if (progress.cpu_ticks != before->cpu_ticks || progress.read_bytes != before->read_bytes ||
        progress.rss_bytes != before->rss_bytes || log_bytes != runner->log_bytes)
        runner->progress_at_ms = now_ms(runner);
    runner->progress = progress;
    runner->log_bytes = log_bytes;
}

static void enter_serving(struct runner *runner)
{
    runner->serving_since_ms = now_ms(runner);
    runner->probe.interval_ms = RUNNER_HEALTH_MS;
    timer_start(&runner->probe.timer, RUNNER_HEALTH_MS);
    set_phase(runner, PHASE_SERVING, NULL);
    save_record(runner);
}

static void miss_probe(struct runner *runner, const char *text)
{
    runner->missed_probes++;
    if (runner->missed_probes == RUNNER_HEALTH_MISSES) {
        log_warning("instance", "%s: the engine lives but its health probe fails: %s",
                    runner->wanted.name, text);
        set_message(runner, mem_printf("the engine lives but its health probe fails: %s", text));
    }
}

static void on_probe(struct probe *probe, bool serves, const char *text, void *ctx)
{
    struct runner *runner = ctx;
    bool is_first = !runner->was_probed;
    runner->was_probed = true;
    if (runner->phase == PHASE_STARTING && serves) {
        enter_serving(runner);
    } else if (runner->phase == PHASE_STARTING) {
        look_for_progress(runner);
        if (is_first)
            runner->host->on_change(runner, runner->host->ctx);
    } else if (!serves) {
        miss_probe(runner, text);
    } else {
        if (runner->missed_probes >= RUNNER_HEALTH_MISSES)
            set_message(runner, NULL);
        runner->missed_probes = 0;
    }
}

/* The line at the log's end that says why the engine ended, owned, or NULL. */
static char *find_error_line(const struct runner *runner, bool or_last)
{
    char name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(runner->record.id, name);
    const char *dir = runner->host->serve_dir;
    unsigned run = (unsigned)runner->record.run;
    struct logfile_cursor cursor = {0};
    struct buf text = {0};
    int n = logfile_seek_tail(dir, name, run, ERROR_SCAN_LINES, &cursor, NULL);
    for (size_t total = 0; n >= 0 && total < ERROR_READ_BYTES; total += (size_t)n) {
        n = logfile_read(dir, name, run, &cursor, ERROR_SCAN_BYTES, &text, NULL);
        if (n <= 0)
            break;
        if (text.len > ERROR_SCAN_BYTES) /* very long lines: the last ones tell */
            buf_drop(&text, text.len - ERROR_SCAN_BYTES);
    }
    char *line = logscan_error_line(buf_str(&text), or_last);
    buf_fini(&text);
    return line;
}

static void forget_process(struct runner *runner)
{
    probe_stop(&runner->probe);
    process_free(TAKE(runner->process));
    int_list_fini(&runner->record.ports);
    runner->missed_probes = 0;
}

static void on_exit_event(struct process *process, struct process_exit exit, void *ctx)
{
    struct runner *runner = ctx;
    auto_free char *cause = process_exit_text(exit);
    /* An engine that gave up had reasons to tell; one that was killed was in the middle of it. */
    bool gave_up = exit.known && WIFEXITED(exit.status);
    auto_free char *line = find_error_line(runner, gave_up);
    forget_process(runner);
    if (runner->phase != PHASE_STOPPING)
        fail(runner, cause, line);
    else if (runner->stop == STOP_STALLED)
        fail(runner, "no sign of work for 10 minutes while starting, stopped", line);
    else
        set_phase(runner, PHASE_NEW, NULL);
}

/* ---- starting ---- */

struct prepare_job {
    struct runner *runner; /* NULL: it went away meanwhile */
    struct desired_instance wanted;
    char *bin_dir, *worker_name;
    struct prepared prepared;
    int rc;
    struct err err;
};

static void prepare_on_pool(void *arg)
{
    struct prepare_job *job = arg;
    job->rc =
        prepare_engine(&job->wanted, job->bin_dir, job->worker_name, &job->prepared, &job->err);
}

static void observe_engine(struct runner *runner, int64_t probe_ms)
{
    runner->was_probed = false;
    runner->progress_at_ms = now_ms(runner);
    set_phase(runner, PHASE_STARTING, NULL);
    probe_start(&runner->probe, runner_port(runner), runner->record.ready_path, probe_ms);
}

/* The record of a run that has just begun. */
static void begin_run(struct runner *runner, const struct prepared *prepared, unsigned port,
                      const struct proc_identity *id)
{
    struct engine_record *record = &runner->record;
    const struct desired_instance *wanted = &runner->wanted;
    if (runner->has_run)
        record->run++;
    if (runner->has_run && runner->failures) { /* not after a stop on purpose */
        record->restart_count++;
        record->last_restart_time = clock_wall_ms(loop_clock(runner->host->loop));
    }
    runner->has_run = true;
    record->model_generation = wanted->model_generation;
    record->model_bytes = runner->model_bytes = prepared->model_bytes;
    mem_replace(&record->name, wanted->name);
    mem_replace(&record->model_name, wanted->model_name);
    mem_replace(&record->ready_path, prepared->engine->ready_path);
    mem_replace(&record->resolved_path, prepared->model_path);
    mem_free_secret(record->token);
    record->token = mem_strdup(wanted->token);
    int_list_fini(&record->ports);
    int_list_add(&record->ports, port);
    engine_set_identity(record, id);
}

static int spawn_engine(struct runner *runner, const struct prepared *prepared, struct err *err)
{
    const struct runner_host *host = runner->host;
    int port = host->reserve_port(host->ctx, err);
    if (port < 0)
        return port;
    struct launch launch = {.wanted = &runner->wanted,
                            .prepared = prepared,
                            .port = (unsigned)port,
                            .run = runner->has_run ? (unsigned)runner->record.run + 1 : 0,
                            .serve_dir = host->serve_dir,
                            .worker_uuid = host->node->uuid,
                            .cluster_id = host->node->cluster_id};
    struct proc_identity id;
    int rc = launch_engine(&launch, &id, err);
    if (rc < 0)
        return rc;
    begin_run(runner, prepared, (unsigned)port, &id);
    rc = process_watch(host->loop, &id, on_exit_event, runner, &runner->process);
    if (rc < 0) {
        int_list_fini(&runner->record.ports);
        return err_errno(err, -rc, "can't watch the engine");
    }
    observe_engine(runner, prepared->engine->ready_interval_ms);
    save_record(runner);
    return 0;
}

static void free_job(struct prepare_job *job)
{
    desired_instance_fini(&job->wanted);
    prepared_fini(&job->prepared);
    free(job->bin_dir);
    free(job->worker_name);
    free(job);
}

static void on_prepared(void *arg)
{
    struct prepare_job *job = arg;
    struct runner *runner = job->runner;
    if (runner) {
        runner->job = NULL;
        int rc = job->rc;
        if (rc == 0)
            rc = spawn_engine(runner, &job->prepared, &job->err);
        if (rc < 0)
            fail(runner, job->err.text, NULL);
    }
    free_job(job);
}

void runner_start(struct runner *runner, const struct desired_instance *wanted)
{
    desired_instance_copy(&runner->wanted, wanted);
    struct prepare_job *job = mem_alloc(sizeof *job);
    job->runner = runner;
    desired_instance_copy(&job->wanted, wanted);
    job->bin_dir = mem_strdup(runner->host->bin_dir);
    job->worker_name = mem_strdup(runner->host->node->name);
    runner->job = job;
    set_phase(runner, PHASE_PREPARING, NULL);
    loop_work(runner->host->loop, prepare_on_pool, on_prepared, job);
}

/* What the pool finds out for it isn't wanted any more. */
static void drop_job(struct runner *runner)
{
    if (runner->job)
        runner->job->runner = NULL;
    runner->job = NULL;
}

void runner_renew(struct runner *runner, const struct desired_instance *wanted)
{
    assert(!runner->process);
    drop_job(runner);
    runner->failures = 0;
    desired_instance_copy(&runner->wanted, wanted);
    if (runner->phase != PHASE_NEW)
        set_phase(runner, PHASE_NEW, NULL);
}

void runner_stop(struct runner *runner, enum stop_reason reason)
{
    static const char *const texts[] = {
        [STOP_UNWANTED] = "not wanted any more", [STOP_STALLED] = "no sign of work while starting"};
    runner->stop = reason;
    probe_stop(&runner->probe);
    set_phase(runner, PHASE_STOPPING, mem_strdup(texts[reason]));
    process_stop(runner->process, PROCESS_TERM_GRACE_MS);
}

/* ---- life ---- */

static struct runner *make(const struct runner_host *host)
{
    struct runner *runner = mem_alloc(sizeof *runner);
    runner->host = host;
    runner->was_probed = true;
    probe_init(&runner->probe, host->loop, host->pool, on_probe, runner);
    return runner;
}

struct runner *runner_new(const struct runner_host *host, const struct desired_instance *wanted)
{
    struct runner *runner = make(host);
    desired_instance_copy(&runner->wanted, wanted);
    runner->record.id = wanted->id;
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
                                               .restart_on_error = true,
                                               .token = mem_strdup(record->token)};
    runner->model_bytes = record->model_bytes;
    runner->has_run = true;
}

struct runner *runner_adopt(const struct runner_host *host, struct found_engine *found)
{
    struct runner *runner = make(host);
    runner->record = found->record;
    found->record = (struct engine_record){0};
    recall_wanted(runner);
    struct proc_identity id = engine_identity(&runner->record);
    if (found->is_alive &&
        process_watch(host->loop, &id, on_exit_event, runner, &runner->process) == 0) {
        log_info("instance", "%s: its engine lives and is adopted", runner->wanted.name);
        observe_engine(runner, RUNNER_ADOPTED_PROBE_MS);
        if (!found->is_recorded)
            save_record(runner);
        return runner;
    }
    int_list_fini(&runner->record.ports);
    if (runner->record.pid > 0)
        fail(runner, "the engine ended while the worker was away", NULL);
    return runner;
}

void runner_free(struct runner *runner)
{
    if (!runner)
        return;
    drop_job(runner);
    probe_stop(&runner->probe);
    process_free(runner->process);
    desired_instance_fini(&runner->wanted);
    engine_record_fini(&runner->record);
    free(runner->message);
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

void runner_update(struct runner *runner, const struct desired_instance *wanted)
{
    desired_instance_copy(&runner->wanted, wanted);
    const char *recorded = runner->record.token;
    if (!runner->process || (recorded && strcmp(recorded, wanted->token) == 0))
        return;
    mem_free_secret(runner->record.token);
    runner->record.token = mem_strdup(wanted->token);
    save_record(runner);
}

/* ---- what others see ---- */

struct observed_instance runner_observe(const struct runner *runner)
{
    return (struct observed_instance){.id = runner->record.id,
                                      .model_generation = runner->wanted.model_generation,
                                      .phase = runner->phase,
                                      .retry_at_ms = runner->retry_at_ms,
                                      .progress_at_ms = runner->progress_at_ms};
}

unsigned runner_port(const struct runner *runner)
{
    return runner->record.ports.count ? (unsigned)runner->record.ports.items[0] : 0;
}

bool runner_is_settled(const struct runner *runner)
{
    return runner->was_probed;
}

void runner_write_report(const struct runner *runner, struct json_writer *w)
{
    const struct engine_record *record = &runner->record;
    json_begin_object(w);
    json_put_int(w, "id", record->id);
    json_put_int(w, "model_generation", runner->wanted.model_generation);
    json_put_string(w, "state", instance_state_name(state_of(runner)));
    json_put_string(w, "state_message", runner->message ? runner->message : "");
    json_put_int(w, "pid", runner->process ? record->pid : 0);
    json_put_int(w, "port", runner_port(runner));
    json_add_key(w, "ports");
    json_begin_array(w);
    for (size_t i = 0; i < record->ports.count; i++)
        json_add_int(w, record->ports.items[i]);
    json_end_array(w);
    json_put_string(w, "resolved_path", record->resolved_path);
    json_put_int(w, "restart_count", record->restart_count);
    json_add_key(w, "last_restart_time");
    json_add_time(w, record->last_restart_time);
    json_put_int(w, "download_progress", record->resolved_path ? 100 : 0);
    json_add_key(w, "computed_resource_claim");
    if (runner->model_bytes) {
        json_begin_object(w);
        json_put_int(w, "ram", runner->model_bytes);
        json_end_object(w);
    } else {
        json_add_null(w);
    }
    json_end_object(w);
}

void runner_rotate_log(struct runner *runner)
{
    if (!runner->process)
        return;
    char name[LAUNCH_LOG_NAME_MAX];
    struct err err = {0};
    launch_log_name(runner->record.id, name);
    if (logfile_rotate(runner->host->serve_dir, name, (unsigned)runner->record.run, LOG_PART_MAX,
                       &err) < 0)
        log_warning("instance", "%s: its log can't be bounded: %s", runner->wanted.name, err.text);
}
