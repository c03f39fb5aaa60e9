/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/launch.h"

#include "proc/logfile.h"
#include "proc/spawn.h"

#include <stdio.h>

char *launch_serve_dir(const char *log_dir)
{
    return mem_printf("%s/serve", log_dir);
}

void launch_log_name(int64_t instance_id, char name[LAUNCH_LOG_NAME_MAX])
{
    snprintf(name, LAUNCH_LOG_NAME_MAX, "%lld", (long long)instance_id);
}

static void add_number(struct string_map *map, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    string_map_set(map, key, text);
}

/* The model's own environment, then our labels, which it can't change. */
static void collect_extra(const struct launch *launch, struct string_map *extra)
{
    const struct desired_instance *wanted = launch->wanted;
    for (size_t i = 0; i < wanted->env.count; i++)
        string_map_set(extra, wanted->env.keys[i], wanted->env.values[i]);
    string_map_set(extra, "GPUSTACK_WORKER_UUID", launch->worker_uuid);
    string_map_set(extra, "GPUSTACK_CLUSTER_ID", launch->cluster_id);
    string_map_set(extra, "GPUSTACK_INSTANCE_NAME", wanted->name);
    string_map_set(extra, "GPUSTACK_MODEL_NAME", wanted->model_name);
    string_map_set(extra, "GPUSTACK_READY_PATH", launch->prepared->engine->ready_path);
    add_number(extra, "GPUSTACK_INSTANCE_ID", wanted->id);
    add_number(extra, "GPUSTACK_GENERATION", wanted->model_generation);
    add_number(extra, "GPUSTACK_PORT", launch->port);
    add_number(extra, "GPUSTACK_RUN", launch->run);
}

/* NULL-ended, as exec wants it; the strings stay the list's. Returns owned. */
static const char **pointers_of(const struct string_list *list)
{
    const char **pointers = mem_alloc_array(list->count + 1, sizeof *pointers);
    for (size_t i = 0; i < list->count; i++)
        pointers[i] = list->items[i];
    return pointers;
}

static int spawn_engine(const struct launch *launch, const struct string_list *argv,
                        const struct string_list *env, struct proc_identity *ret, struct err *err)
{
    char log_name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(launch->wanted->id, log_name);
    auto_close int log_fd = logfile_open_run(launch->serve_dir, log_name, launch->run, err);
    if (log_fd < 0)
        return log_fd;
    auto_free const char **argv_pointers = pointers_of(argv);
    auto_free const char **env_pointers = pointers_of(env);
    struct spawn_params params = {.argv = argv_pointers,
                                  .env = env_pointers,
                                  .stdin_fd = -1,
                                  .stdout_fd = log_fd,
                                  .stderr_fd = -1,
                                  .pass_fd = -1,
                                  .own_session = true};
    return spawn(&params, ret, err);
}

int launch_engine(const struct launch *launch, struct proc_identity *ret, struct err *err)
{
    const struct engine *engine = launch->prepared->engine;
    struct engine_values values = {.model_path = launch->prepared->model_path,
                                   .model_name = launch->wanted->model_name,
                                   .host = "127.0.0.1",
                                   .port = launch->port};
    struct string_list argv = {0}, env = {0};
    int rc = engine_build_argv(engine, &values, &launch->wanted->backend_parameters, &argv, err);
    if (rc >= 0) {
        struct string_map extra = {0};
        collect_extra(launch, &extra);
        engine_build_env(engine, &values, launch->wanted->token, &extra, &env);
        string_map_fini(&extra);
        rc = spawn_engine(launch, &argv, &env, ret, err);
    }
    string_list_fini(&argv);
    string_list_fini(&env);
    return rc < 0 ? rc : 0;
}
