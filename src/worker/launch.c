/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/launch.h"

#include "engine/visible_devices.h"
#include "proc/logfile.h"
#include "proc/spawn.h"
#include "worker/launch_note.h"

#include <assert.h>
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

static void add_ports(struct string_map *map, const struct int_list *ports)
{
    struct buf text = {0};
    for (size_t i = 0; i < ports->count; i++)
        buf_printf(&text, "%s%lld", i ? "," : "", (long long)ports->items[i]);
    if (text.len)
        string_map_set(map, "GPUSTACK_PORTS", text.ptr);
    buf_fini(&text);
}

/* Our labels, which a model's own environment can't change. */
static void add_labels(const struct launch *launch, struct string_map *extra)
{
    const struct desired_instance *wanted = launch->wanted;
    string_map_set(extra, "GPUSTACK_WORKER_UUID", launch->worker_uuid);
    string_map_set(extra, "GPUSTACK_CLUSTER_ID", launch->cluster_id);
    string_map_set(extra, "GPUSTACK_INSTANCE_NAME", wanted->name);
    string_map_set(extra, "GPUSTACK_MODEL_NAME", wanted->model_name);
    if (wanted->rank == 0)
        string_map_set(extra, "GPUSTACK_READY_PATH", launch->prepared->engine->ready_path);
    add_number(extra, "GPUSTACK_INSTANCE_ID", wanted->id);
    add_number(extra, "GPUSTACK_GENERATION", wanted->model_generation);
    add_ports(extra, launch->ports);
    add_number(extra, "GPUSTACK_RUN", launch->run);
    if (!desired_instance_is_gang(wanted))
        return;
    add_number(extra, "GPUSTACK_RANK", wanted->rank);
    add_number(extra, "GPUSTACK_RANK_COUNT", wanted->rank_count);
    add_number(extra, "GPUSTACK_GANG_EPOCH", wanted->gang_epoch);
}

/* The devices, then the model's own environment, which may know better, then the labels. */
static int collect_extra(const struct launch *launch, struct string_map *extra,
                         struct trouble *fault)
{
    const struct desired_instance *wanted = launch->wanted;
    struct err err = {0};
    int64_t missing = 0;
    int rc = visible_devices_set(launch->devices, &wanted->gpu_indexes, extra, &missing, &err);
    if (rc < 0) {
        trouble_set(fault, REASON_DEVICE_LOST, "worker %s: %s", launch->worker_name, err.text);
        trouble_add_int(fault, "gpu_index", missing);
        return rc;
    }
    for (size_t i = 0; i < wanted->env.count; i++)
        string_map_set(extra, wanted->env.keys[i], wanted->env.values[i]);
    add_labels(launch, extra);
    return 0;
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
                        const struct string_map *own_env, struct proc_identity *ret,
                        struct err *err)
{
    char log_name[LAUNCH_LOG_NAME_MAX];
    launch_log_name(launch->wanted->id, log_name);
    auto_close int log_fd = logfile_open_run(launch->serve_dir, log_name, launch->run, err);
    if (log_fd < 0)
        return log_fd;
    struct string_list env = {0};
    engine_full_env(own_env, &env);
    auto_free const char **argv_pointers = pointers_of(argv);
    auto_free const char **env_pointers = pointers_of(&env);
    struct spawn_params params = {.argv = argv_pointers,
                                  .env = env_pointers,
                                  .stdin_fd = -1,
                                  .stdout_fd = log_fd,
                                  .stderr_fd = -1,
                                  .pass_fd = -1,
                                  .own_session = true};
    int rc = spawn(&params, ret, err);
    string_list_fini(&env);
    return rc;
}

/* What the process is started with; `env` is without what it inherits. Both are the caller's to
 * free whatever happens. */
static int build(const struct launch *launch, const struct engine_values *values,
                 struct string_list *argv, struct string_map *env, struct trouble *fault)
{
    const struct engine *engine = launch->prepared->engine;
    struct string_map extra = {0};
    struct err err = {0};
    int rc = engine_build_argv(engine, values, &launch->wanted->backend_parameters, argv, &err);
    if (rc < 0) {
        trouble_set(fault, REASON_BAD_PARAMETERS, "%s", err.text);
        trouble_add_text(fault, "detail", err.text);
        return rc;
    }
    rc = collect_extra(launch, &extra, fault);
    if (rc == 0)
        engine_own_env(engine, values, launch->wanted->token, &extra, env);
    string_map_fini(&extra);
    return rc;
}

static void find_figures(const struct launch *launch, struct engine_figures *ret)
{
    struct resource_claim claim = {0};
    desired_instance_claim(launch->wanted, &claim);
    engine_figures_of(&claim, !desired_instance_is_gang(launch->wanted), launch->devices, ret);
    claim_fini(&claim);
}

/* What control gave out must be what is reserved here: the other ranks go by it. */
static int check_peers(const struct launch *launch, const struct peers *peers,
                       struct trouble *fault)
{
    const struct desired_instance *wanted = launch->wanted;
    const struct int_list *given = &peers->items[wanted->rank].ports, *own = launch->ports;
    bool is_same =
        given->count == own->count &&
        (own->count == 0 || memcmp(given->items, own->items, own->count * sizeof *own->items) == 0);
    if (is_same)
        return 0;
    trouble_set(
        fault, REASON_RANK_FAILED,
        "the ports that the gang was given for rank %lld on worker %s are not those that are "
        "reserved there",
        (long long)wanted->rank, launch->worker_name);
    trouble_add_int(fault, "rank", wanted->rank);
    trouble_add_text(fault, "worker", launch->worker_name);
    return ERR_CONFLICT;
}

static int launch_with(const struct launch *launch, const struct peers *peers,
                       struct launched *ret, struct trouble *fault)
{
    const struct desired_instance *wanted = launch->wanted;
    bool is_gang = desired_instance_is_gang(wanted);
    int rc = is_gang ? check_peers(launch, peers, fault) : 0;
    if (rc < 0)
        return rc;
    struct engine_figures figures = {0};
    find_figures(launch, &figures);
    struct engine_values values = {.model_path = launch->prepared->model_path,
                                   .model_name = wanted->model_name,
                                   .host = wanted->rank > 0 ? peers->items[wanted->rank].ip
                                                            : "127.0.0.1",
                                   .ports = launch->ports,
                                   .rank = wanted->rank,
                                   .peers = is_gang ? peers : NULL,
                                   .ranks = wanted->ranks,
                                   .figures = &figures,
                                   .env = &wanted->env,
                                   .category = wanted->categories.count
                                                   ? wanted->categories.items[0]
                                                   : NULL};
    struct string_list argv = {0};
    struct string_map env = {0};
    struct err err = {0};
    rc = build(launch, &values, &argv, &env, fault);
    if (rc == 0 && (rc = spawn_engine(launch, &argv, &env, &ret->id, &err)) < 0) {
        trouble_set(fault, REASON_SPAWN_FAILED, "worker %s: %s", launch->worker_name, err.text);
        trouble_add_int(fault, "errno", -rc);
    }
    if (rc == 0)
        ret->note = launch_note(&argv, &env, wanted->token);
    engine_figures_fini(&figures);
    string_list_fini(&argv);
    string_map_fini(&env);
    return rc;
}

int launch_engine(const struct launch *launch, struct launched *ret, struct trouble *fault)
{
    struct peers peers = {0};
    int rc = peers_read(launch->wanted->ranks, &peers, NULL);
    assert(rc == 0); /* as in a desired state, which was checked */
    rc = launch_with(launch, &peers, ret, fault);
    peers_fini(&peers);
    return rc;
}
