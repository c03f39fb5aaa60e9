/* SPDX-License-Identifier: Apache-2.0 */
#include "control/registration.h"

#include "control/events.h"

static int read_registration(const json_t *body, struct worker *fresh, struct err *err)
{
    int rc = record_read(&worker_type, fresh, body, RECORD_TRUST, err);
    if (rc < 0)
        return rc;
    const struct {
        const char *name, *value;
    } needed[] = {{"name", fresh->name}, {"worker_uuid", fresh->worker_uuid}, {"ip", fresh->ip}};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!needed[i].value || !*needed[i].value)
            return err_set(err, ERR_INVALID, "%s: must be there and not empty", needed[i].name);
    const json_t *inspects = json_object_get(body, "inspects");
    if (inspects && !json_is_boolean(inspects))
        return err_set(err, ERR_INVALID, "inspects: must be true or false");
    fresh->inspects = json_is_true(inspects);
    const json_t *downloads = json_object_get(body, "downloads");
    if (downloads && !json_is_boolean(downloads))
        return err_set(err, ERR_INVALID, "downloads: must be true or false");
    fresh->downloads = json_is_true(downloads);
    if (fresh->port < 1 || fresh->port > 65535)
        return err_set(err, ERR_INVALID, "port: must be 1-65535, not %lld", (long long)fresh->port);
    return 0;
}

/* Gives the worker a name that nobody else has, or refuses when its name was configured. */
static int settle_name(const struct cluster *cluster, struct worker *fresh, bool is_configured,
                       const struct registration_env *env, struct err *err)
{
    auto_free char *wanted = mem_strdup(fresh->name);
    for (;;) {
        const struct worker *holder = cluster_worker_by_name(cluster, fresh->name);
        if (!holder || strcmp(holder->worker_uuid, fresh->worker_uuid) == 0)
            return 0;
        if (is_configured)
            return err_set(err, ERR_EXISTS,
                           "worker name %s belongs to another machine (%s, uuid %s): choose "
                           "another --worker-name",
                           wanted, holder->ip, holder->worker_uuid);
        auto_free char *suffix = env->make_digits(env->ctx);
        auto_free char *name = mem_printf("%s-%s", wanted, suffix);
        mem_replace(&fresh->name, name);
    }
}

static char *address_of(const struct worker *worker)
{
    return mem_printf("%s:%lld", worker->ip ? worker->ip : "", (long long)worker->port);
}

/*
 * A worker is its uuid. While one with this uuid is in contact, nobody else may be it: two machines
 * that were cloned would fight over one row. When it is silent it is the same with a new address.
 */
static int check_address(struct cluster *cluster, const struct worker *known,
                         const struct worker *fresh, int64_t now_ms, struct err *err)
{
    auto_free char *from = known ? address_of(known) : NULL;
    auto_free char *to = address_of(fresh);
    if (!known || strcmp(from, to) == 0)
        return 0;
    bool is_refused = known->state != WORKER_NOT_READY;
    auto_free char *args = mem_printf(is_refused ? "{\"known\":\"%s\",\"refused\":\"%s\"}"
                                                 : "{\"from\":\"%s\",\"to\":\"%s\"}",
                                      from, to);
    events_note(cluster, KIND_WORKER, known,
                is_refused ? EVENT_UUID_REFUSED : EVENT_ADDRESS_CHANGED, args, now_ms,
                is_refused ? "%s is in contact; %s with the same uuid was refused"
                           : "came back from %s as %s",
                from, to);
    if (!is_refused)
        return 0;
    return err_set(err, ERR_EXISTS,
                   "uuid %s belongs to worker %s at %s, which is in contact; %s was refused. If "
                   "this machine is a copy of that one, delete worker_uuid and worker_name in its "
                   "data folder and start again",
                   fresh->worker_uuid, known->name, from, to);
}

/* The system's labels, then those that the user has put on the known worker, which win. */
static void merge_labels(struct worker *fresh, const struct worker *known)
{
    string_map_set(&fresh->labels, "worker-name", fresh->name);
    for (size_t i = 0; known && i < known->labels.count; i++)
        if (strcmp(known->labels.keys[i], "worker-name") != 0)
            string_map_set(&fresh->labels, known->labels.keys[i], known->labels.values[i]);
}

/* What it has, as it reported it last, until it does again. */
static void keep_reported(struct worker *fresh, const struct worker *known)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, known);
    fresh->memory_total = copy.memory_total;
    fresh->memory_used = copy.memory_used;
    fresh->device_indexes = copy.device_indexes;
    fresh->device_types = copy.device_types;
    fresh->devices = copy.devices;
    fresh->device_count = copy.device_count;
    fresh->engines = copy.engines;
    fresh->engine_count = copy.engine_count;
    fresh->knows_engines = copy.knows_engines;
    mem_replace(&fresh->storage_id, copy.storage_id);
    mem_replace(&fresh->cache_dir, copy.cache_dir);
    mem_replace(&fresh->cache, copy.cache);
    mem_replace(&fresh->cache_error, copy.cache_error);
    copy.device_indexes = (struct int_list){0};
    copy.device_types = (struct string_list){0};
    copy.devices = NULL;
    copy.engines = NULL;
    copy.device_count = copy.engine_count = 0;
    record_fini(&worker_type, &copy);
}

/* What the record keeps of the worker that is known by this uuid. */
static void keep_known(struct worker *fresh, const struct worker *known)
{
    fresh->id = known ? known->id : 0;
    fresh->created_at = known ? known->created_at : 0;
    fresh->updated_at = known ? known->updated_at : 0;
    fresh->state = known ? known->state : WORKER_NOT_READY;
    mem_replace(&fresh->state_message, known ? known->state_message : "its first report is due");
    mem_replace(&fresh->status, known ? known->status : NULL);
    fresh->version = known ? known->version : 1;
    if (known)
        keep_reported(fresh, known);
    mem_replace(&fresh->maintenance, known ? known->maintenance : NULL);
}

int registration_apply(struct cluster *cluster, const json_t *body,
                       const struct registration_env *env, struct worker **ret, struct err *err)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    int rc = read_registration(body, &fresh, err);
    bool is_configured = json_is_true(json_object_get(body, "name_is_configured"));
    if (rc == 0)
        rc = settle_name(cluster, &fresh, is_configured, env, err);
    const struct worker *known = cluster_worker_by_uuid(cluster, fresh.worker_uuid);
    if (rc == 0 && !known && cluster->tables[KIND_WORKER].count >= REGISTRATION_WORKERS_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "the cluster has %d workers, more are not taken",
                     REGISTRATION_WORKERS_MAX);
    if (rc == 0)
        rc = check_address(cluster, known, &fresh, env->now_ms, err);
    if (rc < 0) {
        record_fini(&worker_type, &fresh);
        return rc;
    }
    merge_labels(&fresh, known);
    keep_known(&fresh, known);
    fresh.heartbeat_time = env->now_ms;
    bool is_new = !known;
    *ret = cluster_put(cluster, KIND_WORKER, &fresh, env->now_ms);
    if (is_new)
        events_note(cluster, KIND_WORKER, *ret, EVENT_JOINED, NULL, env->now_ms, "joined from %s",
                    (*ret)->ip);
    return 0;
}
