/* SPDX-License-Identifier: Apache-2.0 */
#include "control/report.h"

#include "control/gangs.h"
#include "control/states.h"
#include "domain/claim.h"

/* Fields of an instance that its worker owns, besides its state. */
static const char *const observed[] = {
    "pid",           "port",     "ports",        "download_progress",
    "resolved_path", "failures", "restart_count", "last_restart_time",
    "served_name",
};

/* One entry that concerns an instance on this worker. */
struct taken {
    struct model_instance copy; /* owned; with the observed fields */
    enum instance_state state;
    const json_t *entry;
};

/* The observed members of `entry` as an object of their own; owned. */
static json_t *observed_part(const json_t *entry)
{
    json_t *part = json_object();
    for (size_t i = 0; i < ARRAY_LEN(observed); i++) {
        json_t *value = json_object_get(entry, observed[i]);
        if (value)
            json_object_set(part, observed[i], value);
    }
    return part;
}

/* ---- reading ---- */

static bool is_observable(enum instance_state state)
{
    return state >= INSTANCE_INITIALIZING && state != INSTANCE_UNREACHABLE;
}

static int read_state(const json_t *entry, int64_t id, enum instance_state *ret, struct err *err)
{
    const char *word = json_member_string(entry, "state");
    if (!word || instance_state_parse(word, ret) < 0)
        return err_set(err, ERR_INVALID,
                       "instance %lld: state must be a state of instances, not %s", (long long)id,
                       word ? word : "missing");
    if (!is_observable(*ret))
        return err_set(err, ERR_INVALID, "instance %lld: a worker can't report state %s",
                       (long long)id, word);
    return 0;
}

static bool runs_on(const struct model_instance *instance, int64_t worker_id)
{
    bool is_there = instance->worker_id == worker_id;
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        is_there = is_there || instance->subordinate_worker_ids.items[i] == worker_id;
    return is_there;
}

/*
 * What its worker has measured, kept as we write claims: placement reads many of them. Workers of
 * earlier versions call it by the name that the desired claim has now.
 */
static int read_measured(const json_t *entry, struct model_instance *copy, struct err *err)
{
    const json_t *value = json_object_get(entry, "measured_claim");
    if (!value)
        value = json_object_get(entry, "computed_resource_claim");
    struct resource_claim claim = {0};
    int rc = claim_read_value(value, &claim, err);
    if (rc < 0)
        return err_wrap(err, rc, "measured_claim");
    if (value) {
        free(copy->measured_claim);
        copy->measured_claim = claim_is_empty(&claim) ? NULL : claim_text(&claim);
    }
    claim_fini(&claim);
    return 0;
}

/* Reads one entry. 1 when it is for this worker, 0 to ignore it. */
static int read_entry(const struct cluster *cluster, int64_t worker_id, const json_t *entry,
                      struct taken *ret, struct err *err)
{
    int64_t id = json_member_int(entry, "id", 0);
    if (id <= 0)
        return err_set(err, ERR_INVALID, "instances: an entry has no id");
    const struct model_instance *instance = cluster_find(cluster, KIND_INSTANCE, id);
    if (!instance || instance->is_held || !runs_on(instance, worker_id))
        return 0;
    /* What still runs with older settings isn't the instance that is wanted. */
    if (json_member_int(entry, "model_generation", instance->model_generation) !=
        instance->model_generation)
        return 0;
    ret->entry = entry;
    record_copy(&model_instance_type, &ret->copy, instance);
    int rc = read_state(entry, id, &ret->state, err);
    if (rc < 0 || instance_is_gang(instance))
        return rc < 0 ? rc : 1;
    auto_fini(json_release) json_t *part = observed_part(entry);
    rc = record_read(&model_instance_type, &ret->copy, part, RECORD_TRUST, err);
    if (rc == 0)
        rc = read_measured(entry, &ret->copy, err);
    return rc < 0 ? err_wrap(err, rc, "instance %lld", (long long)id) : 1;
}

/* Reads all entries before the first is taken, so that a bad report changes nothing. */
static int read_entries(const struct cluster *cluster, int64_t worker_id, const json_t *entries,
                        struct taken *taken, size_t *ret_count, struct err *err)
{
    size_t i, count = 0;
    int rc = 0;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        rc = read_entry(cluster, worker_id, entry, &taken[count], err);
        if (rc < 0)
            record_fini(&model_instance_type, &taken[count].copy);
        if (rc < 0)
            break;
        count += (size_t)rc;
    }
    *ret_count = count;
    return rc < 0 ? rc : 0;
}

/* ---- taking ---- */

static struct gang_env gang_env(const struct report_env *env)
{
    return (struct gang_env){.now_ms = env->now_ms, .now_mono_ms = env->now_mono_ms};
}

static char *args_text(const json_t *entry)
{
    const json_t *args = json_object_get(entry, "state_args");
    if (!json_is_object(args))
        return NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, args);
    return buf_take(&text);
}

/* A worker that says no code but words has something to tell all the same. */
static enum reason reason_of(const json_t *entry, const char *message)
{
    const char *reason = json_member_string(entry, "state_reason");
    if (reason)
        return reason_parse(reason);
    return message && *message ? REASON_OTHER : REASON_NONE;
}

static void take_state(struct cluster *cluster, struct taken *taken, const struct report_env *env)
{
    const char *message = json_member_string(taken->entry, "state_message");
    auto_free char *args = args_text(taken->entry);
    const struct cause cause = {
        .reason = reason_of(taken->entry, message), .args = args, .message = message};
    state_enter(cluster, &taken->copy, taken->state, &cause, env->now_ms);
}

static void take(struct cluster *cluster, int64_t worker_id, struct taken *taken,
                 const struct report_env *env)
{
    struct model_instance *copy = &taken->copy;
    const struct gang_env gang = gang_env(env);
    if (copy->is_draining) { /* its state says why it drains, until it is gone */
        bool is_main = copy->worker_id == worker_id;
        copy->is_drained = copy->is_drained ||
                           (is_main && json_is_true(json_object_get(taken->entry, "drained")));
    } else if (instance_is_gang(copy)) {
        gangs_take_entry(cluster, copy, worker_id, taken->entry, &gang);
    } else {
        take_state(cluster, taken, env);
    }
    cluster_put(cluster, KIND_INSTANCE, copy, env->now_ms);
}

static bool is_listed(const json_t *entries, int64_t id)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        if (json_member_int(entry, "id", 0) == id)
            return true;
    }
    return false;
}

static void reset(struct cluster *cluster, struct model_instance *copy,
                  const struct report_env *env)
{
    auto_free char *args = mem_printf("{\"worker\":\"%s\"}", copy->worker_name);
    const struct cause cause = {.reason = REASON_UNKNOWN_TO_WORKER,
                                .args = args,
                                .message = "the worker does not know it yet"};
    copy->pid = copy->port = 0;
    int_list_fini(&copy->ports);
    mem_replace(&copy->served_name, NULL);
    state_enter(cluster, copy, INSTANCE_SCHEDULED, &cause, env->now_ms);
}

/* What the worker should run and doesn't list isn't there: it was lost, say with the worker's disk.
 */
static void reset_unlisted(struct cluster *cluster, int64_t worker_id, const json_t *entries,
                           const struct report_env *env)
{
    const struct gang_env gang = gang_env(env);
    CLUSTER_FOR_KEY(&cluster->instances_on_worker, worker_id, struct model_instance, instance) {
        bool is_kept_back = instance->is_held && !instance->is_draining;
        if (instance->state == INSTANCE_SCHEDULED || is_kept_back ||
            is_listed(entries, instance->id))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        if (copy.is_draining)
            copy.is_drained = copy.is_drained || copy.worker_id == worker_id;
        else if (instance_is_gang(&copy))
            gangs_lose_rank(cluster, &copy, worker_id, &gang);
        else
            reset(cluster, &copy, env);
        cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
    }
}

/* A number of bytes; what can't be one is taken as not known. */
static uint64_t bytes_of(const json_t *object, const char *key)
{
    int64_t bytes = json_member_int(object, key, 0);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

static char *text_of(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_member_string(object, key);
    return mem_strdup(text ? text : fallback);
}

/* A measurement; null, absent or below 0: not known. */
static double measured(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

/* Workers of earlier versions tell neither islands nor health. */
static struct worker_device read_device(const json_t *device, size_t place)
{
    const json_t *memory = json_object_get(device, "memory");
    return (struct worker_device){
        .index = json_member_int(device, "index", (int64_t)place),
        .type = text_of(device, "type", "unknown"),
        .name = text_of(device, "name", NULL),
        .vendor = text_of(device, "vendor", NULL),
        .island = json_member_int(device, "island", -1),
        .link = text_of(device, "link", ""),
        .total_bytes = bytes_of(memory, "total"),
        .used_bytes = bytes_of(memory, "used"),
        .is_unified = json_is_true(json_object_get(memory, "is_unified_memory")),
        .is_healthy = !json_is_false(json_object_get(device, "healthy")),
        .utilization = measured(json_object_get(device, "core"), "utilization_rate"),
        .temperature_c = measured(device, "temperature"),
        .power_w = measured(device, "power"),
    };
}

static void take_devices(struct worker *copy, const json_t *devices)
{
    size_t count = json_array_size(devices);
    count = count < REPORT_DEVICES_MAX ? count : REPORT_DEVICES_MAX;
    worker_clear_devices(copy);
    copy->devices = mem_alloc_array(count, sizeof *copy->devices);
    copy->device_count = count;
    for (size_t i = 0; i < count; i++) {
        copy->devices[i] = read_device(json_array_get(devices, i), i);
        int_list_add(&copy->device_indexes, copy->devices[i].index);
        string_list_add(&copy->device_types, copy->devices[i].type);
    }
}

/* What can't be read says nothing: placement then has to hope. */
static void take_engines(struct worker *copy, const json_t *engines)
{
    const struct field *field = record_field(&worker_type, "engines");
    copy->knows_engines = engines && record_read_field(field, copy, engines, NULL) == 0;
}

/*
 * Where it keeps model files. A storage that can't be used at the moment, say a mount that is away,
 * stays the worker's: its files are on it when it is back.
 */
static void take_cache(struct worker *copy, const json_t *cache)
{
    const char *storage_id = json_member_string(cache, "storage_id");
    const char *dir = json_member_string(cache, "dir"), *error = json_member_string(cache, "error");
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    if (json_is_object(cache))
        json_add_tree(&w, cache);
    free(copy->cache);
    copy->cache = text.len && text.len <= REPORT_CACHE_MAX ? buf_take(&text) : NULL;
    buf_fini(&text);
    mem_replace(&copy->cache_error, error);
    if (dir && *dir == '/' && strlen(dir) < RECORD_STRING_MAX)
        mem_replace(&copy->cache_dir, dir);
    if (storage_id && *storage_id && strlen(storage_id) <= REPORT_STORAGE_ID_MAX)
        mem_replace(&copy->storage_id, storage_id);
}

static void take_status(struct worker *copy, const json_t *status)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, status);
    free(copy->status);
    copy->status = buf_take(&text);
    const json_t *memory = json_object_get(status, "memory");
    int64_t total = json_member_int(memory, "total", 0), used = json_member_int(memory, "used", 0);
    copy->memory_total = total > 0 ? total : 0;
    copy->memory_used = used > 0 && used <= total ? used : 0;
    copy->cpu_utilization = measured(json_object_get(status, "cpu"), "utilization_rate");
    take_devices(copy, json_object_get(status, "gpu_devices"));
    take_engines(copy, json_object_get(status, "engines"));
    take_cache(copy, json_object_get(status, "cache"));
}

/* ---- news of room ---- */

static uint64_t free_bytes(const struct worker_device *device)
{
    return device->total_bytes > device->used_bytes ? device->total_bytes - device->used_bytes : 0;
}

static bool has_grown(const struct worker_device *before, const struct worker_device *after)
{
    if (!before || before->is_healthy != after->is_healthy)
        return after->is_healthy;
    return free_bytes(after) >= free_bytes(before) + REPORT_ROOM_BYTES;
}

bool report_tells_room(const struct worker *before, const struct worker *after)
{
    const struct field *engines = record_field(&worker_type, "engines");
    if (after->memory_total > before->memory_total ||
        after->knows_engines != before->knows_engines ||
        !record_field_is_equal(engines, before, after))
        return true;
    for (size_t i = 0; i < after->device_count; i++) {
        const struct worker_device *device = &after->devices[i];
        if (has_grown(worker_device_at(before, device->index), device))
            return true;
    }
    return false;
}

/* Whether it tells of more room than there was. */
static bool apply_status(struct cluster *cluster, int64_t worker_id, const json_t *status,
                         const struct report_env *env)
{
    const struct worker *before = cluster_find(cluster, KIND_WORKER, worker_id);
    struct worker copy = {0};
    record_copy(&worker_type, &copy, before);
    copy.heartbeat_time = env->now_ms;
    if (status)
        take_status(&copy, status);
    bool tells_room = report_tells_room(before, &copy);
    cluster_put(cluster, KIND_WORKER, &copy, env->now_ms);
    return tells_room;
}

enum report_age report_age(struct report_order *seen, const json_t *body)
{
    int64_t session = json_member_int(body, "session", 0), seq = json_member_int(body, "seq", 0);
    if (session == 0)
        return REPORT_NEW;
    if (session < seen->session)
        return REPORT_FORSAKEN;
    if (session == seen->session && seq <= seen->seq)
        return REPORT_STALE;
    *seen = (struct report_order){.session = session, .seq = seq};
    return REPORT_NEW;
}

int report_apply(struct cluster *cluster, int64_t worker_id, const json_t *body,
                 const struct report_env *env, struct err *err)
{
    const json_t *entries = json_object_get(body, "instances");
    const json_t *status = json_object_get(body, "status");
    const json_t *inspections = json_object_get(body, "inspections"); /* of control/shapes.h */
    const json_t *files = json_object_get(body, "model_files"); /* of control/file_reports.h */
    if (!json_is_array(entries) || (status && !json_is_object(status)) ||
        (inspections && !json_is_array(inspections)) || (files && !json_is_array(files)))
        return err_set(err, ERR_INVALID,
                       "a report has arrays \"instances\", \"inspections\" and \"model_files\" "
                       "and an object \"status\"");
    auto_free struct taken *taken = mem_alloc_array(json_array_size(entries) + 1, sizeof *taken);
    size_t count;
    int rc = read_entries(cluster, worker_id, entries, taken, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            take(cluster, worker_id, &taken[i], env);
        else
            record_fini(&model_instance_type, &taken[i].copy);
    }
    if (rc < 0)
        return rc;
    if (env->is_current)
        reset_unlisted(cluster, worker_id, entries, env);
    return apply_status(cluster, worker_id, status, env);
}
