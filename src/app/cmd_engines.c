/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gpustack engines [list|stop]`: engines of a data folder's worker, for when the worker is
 * stopped.
 */
#include "app/app.h"
#include "app/command.h"
#include "proc/process.h"
#include "worker/adopt.h"
#include "worker/node.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>

static void find(const char *data_dir, const char *uuid, struct found_engines *found)
{
    auto_free char *record_dir = engine_record_dir(data_dir);
    engines_find(record_dir, uuid, found);
    for (size_t i = 0; i < found->faults.count; i++)
        fprintf(stderr, "gpustack engines: %s\n", found->faults.items[i]);
}

static int list(const char *data_dir, const char *uuid)
{
    struct found_engines found = {0};
    find(data_dir, uuid, &found);
    printf("%-10s %-8s %-6s %s\n", "INSTANCE", "PID", "PORT", "NAME");
    for (size_t i = 0; i < found.count; i++) {
        const struct engine_record *record = &found.items[i].record;
        if (!found.items[i].is_alive)
            continue;
        int64_t port = record->ports.count ? record->ports.items[0] : 0; /* a rank may have none */
        printf("%-10lld %-8lld %-6lld %s\n", (long long)record->id, (long long)record->pid,
               (long long)port, record->name);
    }
    found_engines_fini(&found);
    return APP_OK;
}

/* ---- stopping ---- */

struct stopping {
    struct loop *loop;
    const char *record_dir;
    size_t left; /* engines that aren't gone yet */
};

struct stopped_engine {
    struct stopping *all;
    struct engine_record *record;
};

/* Without a pid in its record it isn't a crash: the next worker starts it again without a delay. */
static void forget(struct stopping *all, struct engine_record *record)
{
    struct err err = {0};
    record->pid = 0;
    int_list_fini(&record->ports);
    if (engine_record_save(all->record_dir, record, &err) < 0)
        fprintf(stderr, "gpustack engines: %s\n", err.text);
}

static void on_gone(struct process *process, struct process_exit exit, void *ctx)
{
    struct stopped_engine *engine = ctx;
    printf("stopped %s (pid %lld)\n", engine->record->name, (long long)engine->record->pid);
    process_free(process);
    forget(engine->all, engine->record);
    if (--engine->all->left == 0)
        loop_stop(engine->all->loop);
}

static void stop_found(struct stopping *all, struct found_engines *found)
{
    auto_free struct stopped_engine *engines = mem_alloc_array(found->count + 1, sizeof *engines);
    for (size_t i = 0; i < found->count; i++) {
        struct engine_record *record = &found->items[i].record;
        struct proc_identity id = engine_identity(record);
        struct process *process;
        engines[i] = (struct stopped_engine){all, record};
        if (!found->items[i].is_alive ||
            process_watch(all->loop, &id, on_gone, &engines[i], &process) < 0)
            continue;
        all->left++;
        process_stop(process, PROCESS_TERM_GRACE_MS);
    }
    if (all->left)
        loop_run(all->loop);
}

static int stop(const char *data_dir, const char *uuid, struct err *err)
{
    auto_close int lock = worker_lock(data_dir, err);
    if (lock < 0)
        return lock;
    auto_free char *record_dir = engine_record_dir(data_dir);
    struct stopping all = {.loop = loop_new(&clock_system), .record_dir = record_dir};
    struct found_engines found = {0};
    find(data_dir, uuid, &found);
    stop_found(&all, &found);
    found_engines_fini(&found);
    loop_free(all.loop);
    return 0;
}

/* ---- the command ---- */

static int run(const char *data_dir, const char *action)
{
    struct err err = {0};
    auto_free char *uuid = NULL;
    int rc = node_read_uuid(data_dir, &uuid, &err);
    if (rc == -ENOENT)
        return APP_OK; /* no worker has ever run here */
    if (rc == 0 && strcmp(action, "list") == 0)
        return list(data_dir, uuid);
    if (rc == 0)
        rc = stop(data_dir, uuid, &err);
    if (rc < 0)
        fprintf(stderr, "gpustack engines: %s\n", err.text);
    return rc < 0 ? APP_FAILURE : APP_OK;
}

int cmd_engines(int argc, char **argv)
{
    const char *action = "list";
    struct config config;
    struct err err = {0};
    if (argc > 1 && argv[1][0] != '-') { /* what follows are options as of any other command */
        action = argv[1];
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    if (strcmp(action, "list") != 0 && strcmp(action, "stop") != 0) {
        err_set(&err, ERR_INVALID, "unknown action \"%s\"; list and stop are allowed", action);
        return app_usage_error("engines", &err);
    }
    int rc = app_load_config(argc, argv, "engines", &config, &err);
    if (rc != 0)
        return rc < 0 ? app_usage_error("engines", &err) : APP_OK;
    int status = run(config.data_dir, action);
    config_fini(&config);
    return status;
}
