/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/adopt.h"

#include "base/num.h"

#include <stdio.h>

struct proc_identity engine_identity(const struct engine_record *record)
{
    struct proc_identity id = {.pid = (pid_t)record->pid,
                               .start_ticks = (uint64_t)record->start_ticks};
    snprintf(id.boot_id, sizeof id.boot_id, "%s", record->boot_id ? record->boot_id : "");
    return id;
}

void engine_set_identity(struct engine_record *record, const struct proc_identity *id)
{
    record->pid = id->pid;
    record->start_ticks = (int64_t)id->start_ticks;
    mem_replace(&record->boot_id, id->boot_id);
}

void found_engines_fini(struct found_engines *found)
{
    for (size_t i = 0; i < found->count; i++)
        engine_record_fini(&found->items[i].record);
    free(found->items);
    string_list_fini(&found->faults);
    *found = (struct found_engines){0};
}

static struct found_engine *add(struct found_engines *found)
{
    found->items = mem_resize(found->items, (found->count + 1) * sizeof *found->items);
    struct found_engine *engine = &found->items[found->count++];
    *engine = (struct found_engine){0};
    return engine;
}

static struct found_engine *find(struct found_engines *found, int64_t id)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->items[i].record.id == id)
            return &found->items[i];
    return NULL;
}

static void load_records(const char *record_dir, struct found_engines *found)
{
    struct int_list ids = {0};
    engine_record_ids(record_dir, &ids);
    for (size_t i = 0; i < ids.count; i++) {
        struct engine_record record = {0};
        struct err err = {0};
        if (engine_record_load(record_dir, ids.items[i], &record, &err) < 0) {
            string_list_add(&found->faults, err.text);
            continue;
        }
        struct proc_identity id = engine_identity(&record);
        bool is_alive = (record.ports.count || record.rank > 0) && proc_is_alive(&id);
        *add(found) =
            (struct found_engine){.record = record, .is_alive = is_alive, .is_recorded = true};
    }
    int_list_fini(&ids);
}

static int64_t env_number(const struct proc_identity *id, const char *name, int64_t min,
                          int64_t max)
{
    auto_free char *text = proc_read_env(id, name);
    int64_t value;
    return text && num_parse_i64(str_of(text), min, max, &value) == 0 ? value : -1;
}

/* Text of a variable into an owned slot; what is already there stays when there is none. */
static void env_text(const struct proc_identity *id, const char *name, char **slot)
{
    char *text = proc_read_env(id, name);
    if (!text)
        return;
    free(*slot);
    *slot = text;
}

/* "40000,40001" */
static void env_ports(const struct proc_identity *id, struct int_list *ports)
{
    auto_free char *text = proc_read_env(id, "GPUSTACK_PORTS");
    struct str rest = str_of(text), item;
    int64_t port;
    int_list_fini(ports);
    while (text && str_split(&rest, ',', &item) && num_parse_i64(item, 1, 65535, &port) == 0)
        int_list_add(ports, port);
}

static int64_t env_count(const struct proc_identity *id, const char *name)
{
    int64_t value = env_number(id, name, 0, INT32_MAX);
    return value < 0 ? 0 : value;
}

static void take_from_env(struct engine_record *record, const struct proc_identity *id)
{
    int64_t generation = env_number(id, "GPUSTACK_GENERATION", 0, INT64_MAX);
    int64_t epoch = env_number(id, "GPUSTACK_GANG_EPOCH", 0, INT64_MAX);
    engine_set_identity(record, id);
    mem_replace(&record->launch_note, NULL); /* what it tells is of another process */
    record->started_at = 0;
    env_text(id, "GPUSTACK_INSTANCE_NAME", &record->name);
    env_text(id, "GPUSTACK_MODEL_NAME", &record->model_name);
    env_text(id, "GPUSTACK_CLUSTER_ID", &record->cluster_id);
    record->run = env_count(id, "GPUSTACK_RUN");
    record->model_generation = generation < 0 ? 0 : generation;
    record->rank = env_count(id, "GPUSTACK_RANK");
    record->rank_count = env_count(id, "GPUSTACK_RANK_COUNT") ?: 1;
    record->gang_epoch = epoch < 0 ? 0 : epoch;
    env_ports(id, &record->ports);
    mem_replace(&record->ready_path, NULL);
    env_text(id, "GPUSTACK_READY_PATH", &record->ready_path);
    if (!record->ready_path && record->rank == 0)
        record->ready_path = mem_strdup("/health");
    if (!record->name)
        record->name = mem_printf("instance %lld", (long long)record->id);
}

/*
 * A process with our label. Children of an engine inherit it, so only leaders of a session count,
 * and of several for one instance the recorded one, else the oldest.
 */
static void on_labelled(const struct proc_identity *id, void *ctx)
{
    struct found_engines *found = ctx;
    int64_t instance_id = env_number(id, "GPUSTACK_INSTANCE_ID", 1, INT64_MAX);
    auto_free char *ports = proc_read_env(id, "GPUSTACK_PORTS");
    bool has_use = ports || env_count(id, "GPUSTACK_RANK") > 0; /* a rank may need no port */
    if (instance_id < 0 || !has_use || getsid(id->pid) != id->pid)
        return;
    struct found_engine *engine = find(found, instance_id);
    bool is_older =
        engine && !engine->is_recorded && id->start_ticks < (uint64_t)engine->record.start_ticks;
    if (engine && engine->is_alive && !is_older)
        return;
    if (!engine) {
        engine = add(found);
        engine_record_init(&engine->record, instance_id);
    }
    take_from_env(&engine->record, id);
    engine->is_alive = true;
    engine->is_recorded = false;
}

void engines_find(const char *record_dir, const char *worker_uuid, struct found_engines *ret)
{
    load_records(record_dir, ret);
    auto_free char *label = mem_printf("GPUSTACK_WORKER_UUID=%s", worker_uuid);
    proc_find_by_env(label, on_labelled, ret);
}
