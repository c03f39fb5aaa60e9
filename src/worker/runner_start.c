/* SPDX-License-Identifier: Apache-2.0 */
/* From NEW to STARTING: look up on the pool, reserve ports, write the record, spawn. */
#include "worker/launch.h"
#include "worker/runner_priv.h"

/* ---- preparing ---- */

struct prepare_job {
    struct runner *runner; /* NULL: it went away meanwhile */
    struct desired_instance wanted;
    char *bin_dir, *worker_name;
    struct prepared prepared;
    int rc;
    struct trouble fault;
};

static void prepare_on_pool(void *arg)
{
    struct prepare_job *job = arg;
    struct prepare_request request = {&job->wanted, job->bin_dir, job->worker_name};
    job->rc = prepare_engine(&request, &job->prepared, &job->fault);
}

static void free_job(struct prepare_job *job)
{
    desired_instance_fini(&job->wanted);
    prepared_fini(&job->prepared);
    trouble_fini(&job->fault);
    free(job->bin_dir);
    free(job->worker_name);
    free(job);
}

void runner_drop_job(struct runner *runner)
{
    if (runner->job)
        runner->job->runner = NULL;
    runner->job = NULL;
}

/* Those of this try that a record kept over a restart of the worker stay: others know them. */
static bool keeps_ports(const struct runner *runner, unsigned count)
{
    const struct int_list *ports = &runner->record.ports;
    if (ports->count != count)
        return false;
    for (size_t i = 0; i < ports->count; i++)
        if (!port_is_free(ports->items[i]))
            return false;
    return true;
}

static int reserve_ports(struct runner *runner, struct trouble *fault)
{
    const struct runner_host *host = runner->host;
    const struct desired_instance *wanted = &runner->wanted;
    unsigned count = engine_port_count(runner->prepared.engine, wanted->rank, wanted->rank_count);
    if (keeps_ports(runner, count))
        return 0;
    runner_release_ports(runner);
    struct err err = {0};
    int first = count ? host->reserve_ports(host->ctx, count, &err) : 0;
    if (first < 0) {
        trouble_set(fault, REASON_NO_FREE_PORT, "worker %s: %s", host->node->name, err.text);
        trouble_add_int(fault, "first", host->ports.first);
        trouble_add_int(fault, "last", host->ports.last);
        return first;
    }
    for (unsigned i = 0; i < count; i++)
        int_list_add(&runner->record.ports, first + i);
    return 0;
}

/* What a later worker must know even when the process is never seen by this one. */
static void describe(struct runner *runner)
{
    struct engine_record *record = &runner->record;
    const struct desired_instance *wanted = &runner->wanted;
    mem_replace(&record->name, wanted->name);
    mem_replace(&record->model_name, wanted->model_name);
    mem_replace(&record->cluster_id, runner->host->node->cluster_id);
    record->model_generation = wanted->model_generation;
    record->rank = wanted->rank;
    record->rank_count = wanted->rank_count;
    record->gang_epoch = wanted->gang_epoch;
    record->restart_on_error = wanted->restart_on_error;
    record->max_restarts = wanted->max_restarts;
    record->failures = runner->failures;
    record->state_reason = REASON_NONE;
    record->pid = 0;
    record->serving_since_ms = record->draining_since_ms = 0;
    mem_free_secret(record->token);
    record->token = mem_strdup(wanted->token);
}

/* Without a record nothing is started: after a restart nobody would know whose ports those are. */
static int write_plan(struct runner *runner, struct trouble *fault)
{
    const struct prepared *prepared = &runner->prepared;
    struct engine_record *record = &runner->record;
    struct err err = {0};
    record->model_bytes = runner->model_bytes = prepared->model_bytes;
    mem_replace(&record->ready_path, record->rank > 0 ? NULL : prepared->engine->ready_path);
    mem_replace(&record->resolved_path, prepared->model_path);
    int rc = runner_save(runner, &err);
    if (rc < 0) {
        trouble_set(fault, REASON_SPAWN_FAILED,
                    "worker %s: nothing is started without a record: %s", runner->host->node->name,
                    err.text);
        trouble_add_int(fault, "errno", -rc);
    }
    return rc;
}

static int finish_preparing(struct runner *runner, struct prepare_job *job)
{
    if (job->rc < 0)
        return job->rc;
    runner->prepared = job->prepared;
    job->prepared = (struct prepared){0};
    int rc = reserve_ports(runner, &job->fault);
    return rc < 0 ? rc : write_plan(runner, &job->fault);
}

static void on_prepared(void *arg)
{
    struct prepare_job *job = arg;
    struct runner *runner = job->runner;
    if (runner) {
        runner->job = NULL;
        if (finish_preparing(runner, job) < 0)
            runner_fail(runner, &job->fault);
        else
            runner_set_phase(runner, PHASE_PREPARED);
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
    describe(runner);
    trouble_fini(&runner->fault);
    runner_set_phase(runner, PHASE_PREPARING);
    loop_work(runner->host->loop, prepare_on_pool, on_prepared, job);
}

/* ---- launching ---- */

/* The record of a run that has just begun. */
static void begin_run(struct runner *runner, struct launched *launched)
{
    struct engine_record *record = &runner->record;
    record->run++;
    if (record->run > 0 && runner->failures) { /* not after a stop on purpose */
        record->restart_count++;
        record->last_restart_time = clock_wall_ms(loop_clock(runner->host->loop));
    }
    engine_set_identity(record, &launched->id);
    free(record->launch_note);
    record->launch_note = TAKE(launched->note);
    record->started_at = clock_wall_ms(loop_clock(runner->host->loop));
}

static int spawn_engine(struct runner *runner, struct trouble *fault)
{
    const struct runner_host *host = runner->host;
    struct launch launch = {.wanted = &runner->wanted,
                            .prepared = &runner->prepared,
                            .ports = &runner->record.ports,
                            .devices = host->devices(host->ctx),
                            .run = (unsigned)(runner->record.run + 1),
                            .serve_dir = host->serve_dir,
                            .worker_name = host->node->name,
                            .worker_uuid = host->node->uuid,
                            .cluster_id = host->node->cluster_id};
    struct launched launched = {0};
    runner_note_launch(runner);
    int rc = launch_engine(&launch, &launched, fault);
    if (rc < 0)
        return rc;
    begin_run(runner, &launched);
    rc = process_watch(host->loop, &launched.id, runner_on_exit, runner, &runner->process);
    if (rc < 0) {
        trouble_set(fault, REASON_SPAWN_FAILED, "worker %s: can't watch the engine: %s",
                    host->node->name, strerror(-rc));
        trouble_add_int(fault, "errno", -rc);
    }
    return rc;
}

void runner_launch(struct runner *runner, const struct desired_instance *wanted)
{
    struct trouble fault = {0};
    desired_instance_copy(&runner->wanted, wanted);
    enum runner_room room = runner_confirm(runner, &fault);
    if (room == ROOM_TAKEN)
        runner_refuse(runner, &fault);
    if (room != ROOM_THERE)
        return;
    mem_replace(&runner->record.model_name, wanted->model_name); /* perhaps renamed meanwhile */
    int64_t probe_ms = runner->prepared.engine->ready_interval_ms;
    int rc = spawn_engine(runner, &fault);
    prepared_fini(&runner->prepared);
    if (rc < 0) {
        runner_fail(runner, &fault);
        return;
    }
    runner->may_serve = false;
    runner_observe_engine(runner, probe_ms);
    /* It lives, and is known by its labels should the worker end before this can be written. */
    runner_save_or_warn(runner);
}
