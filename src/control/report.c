/* SPDX-License-Identifier: Apache-2.0 */
#include "control/report.h"

/* Fields of an instance that its worker owns. */
static const char *const observed[] = {
    "state",         "state_message",     "pid",           "port",
    "ports",         "download_progress", "resolved_path", "computed_resource_claim",
    "restart_count", "last_restart_time",
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

static bool is_observable(enum instance_state state)
{
    return state >= INSTANCE_INITIALIZING && state != INSTANCE_UNREACHABLE;
}

/* Reads one entry into a copy of its instance. 1 when it is for this worker, 0 to ignore it. */
static int read_entry(const struct cluster *cluster, int64_t worker_id, const json_t *entry,
                      struct model_instance *copy, struct err *err)
{
    int64_t id = json_member_int(entry, "id", 0);
    if (id <= 0)
        return err_set(err, ERR_INVALID, "instances: an entry has no id");
    const struct model_instance *instance = cluster_find(cluster, KIND_INSTANCE, id);
    if (!instance || instance->worker_id != worker_id)
        return 0;
    /* What still runs with older settings isn't the instance that is wanted. */
    if (json_member_int(entry, "model_generation", instance->model_generation) !=
        instance->model_generation)
        return 0;
    record_copy(&model_instance_type, copy, instance);
    auto_fini(json_release) json_t *part = observed_part(entry);
    int rc = record_read(&model_instance_type, copy, part, RECORD_TRUST, err);
    if (rc < 0)
        return err_wrap(err, rc, "instance %lld", (long long)id);
    if (!is_observable((enum instance_state)copy->state))
        return err_set(err, ERR_INVALID, "instance %lld: a worker can't report state %s",
                       (long long)id, instance_state_name((enum instance_state)copy->state));
    return 1;
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

/* What the worker should run and doesn't list isn't there: it was lost, say with the worker's disk.
 */
static void reset_unlisted(struct cluster *cluster, int64_t worker_id, const json_t *entries,
                           const struct report_env *env)
{
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id != worker_id || instance->state == INSTANCE_SCHEDULED ||
            is_listed(entries, instance->id))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        copy.state = INSTANCE_SCHEDULED;
        copy.pid = copy.port = 0;
        int_list_fini(&copy.ports);
        mem_replace(&copy.state_message, "the worker does not know it yet");
        cluster_put(cluster, KIND_INSTANCE, &copy, env->now_ms);
    }
}

static void apply_status(struct cluster *cluster, int64_t worker_id, const json_t *status,
                         const struct report_env *env)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(cluster, KIND_WORKER, worker_id));
    copy.heartbeat_time = env->now_ms;
    if (status) {
        struct buf text = {0};
        struct json_writer w = json_writer_into(&text);
        json_add_tree(&w, status);
        free(copy.status);
        copy.status = buf_take(&text);
        int64_t total = json_member_int(json_object_get(status, "memory"), "total", 0);
        copy.memory_total = total > 0 ? total : 0;
    }
    cluster_put(cluster, KIND_WORKER, &copy, env->now_ms);
}

/* Reads all entries before the first is taken, so that a bad report changes nothing. */
static int read_entries(const struct cluster *cluster, int64_t worker_id, const json_t *entries,
                        struct model_instance *copies, size_t *ret_count, struct err *err)
{
    size_t i, count = 0;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        int rc = read_entry(cluster, worker_id, entry, &copies[count], err);
        if (rc < 0) {
            record_fini(&model_instance_type, &copies[count]);
            *ret_count = count;
            return rc;
        }
        count += (size_t)rc;
    }
    *ret_count = count;
    return 0;
}

int report_apply(struct cluster *cluster, int64_t worker_id, const json_t *body,
                 const struct report_env *env, struct err *err)
{
    const json_t *entries = json_object_get(body, "instances");
    const json_t *status = json_object_get(body, "status");
    if (!json_is_array(entries) || (status && !json_is_object(status)))
        return err_set(err, ERR_INVALID,
                       "a report has an array \"instances\" and an object \"status\"");
    auto_free struct model_instance *copies =
        mem_alloc_array(json_array_size(entries), sizeof *copies);
    size_t count;
    int rc = read_entries(cluster, worker_id, entries, copies, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            cluster_put(cluster, KIND_INSTANCE, &copies[i], env->now_ms);
        else
            record_fini(&model_instance_type, &copies[i]);
    }
    if (rc < 0)
        return rc;
    if (env->is_current)
        reset_unlisted(cluster, worker_id, entries, env);
    apply_status(cluster, worker_id, status, env);
    return 0;
}
