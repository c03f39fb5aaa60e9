/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fleet.h"

#include "base/log.h"
#include "base/random.h"
#include "control/desired.h"
#include "control/report.h"
#include "control/turn_priv.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

/* What control remembers of a worker besides its record: the connection and when it was heard. */
struct member {
    UT_hash_handle hh;
    int64_t worker_id;            /* key */
    struct http_exchange *stream; /* its desired stream, or NULL */
    int64_t contact_ms;           /* monotonic time of the last byte from it */
    uint64_t generation;          /* of the desired state that was sent last */
    struct buf sent;              /* that state */
    bool is_dirty;                /* its desired state may differ from what was sent */
};

struct fleet {
    struct control *control;
    struct member *members; /* uthash by worker_id */
    struct timer tick;
    uint64_t generation; /* last one given to any worker; grows over restarts too */
    int64_t next_heartbeat_ms;
};

enum { TICK_MS = 1000 };

static int64_t mono_now(const struct fleet *fleet)
{
    return clock_mono_ms(loop_clock(control_loop(fleet->control)));
}

static struct member *find_member(const struct fleet *fleet, int64_t worker_id)
{
    struct member *member = NULL;
    HASH_FIND(hh, fleet->members, &worker_id, sizeof worker_id, member);
    return member;
}

static struct member *get_member(struct fleet *fleet, int64_t worker_id)
{
    struct member *member = find_member(fleet, worker_id);
    if (member)
        return member;
    member = mem_alloc(sizeof *member);
    member->worker_id = worker_id;
    member->contact_ms = mono_now(fleet);
    HASH_ADD(hh, fleet->members, worker_id, sizeof member->worker_id, member);
    return member;
}

static void drop_member(struct fleet *fleet, struct member *member)
{
    struct http_exchange *stream = TAKE(member->stream);
    HASH_DEL(fleet->members, member);
    buf_fini(&member->sent);
    free(member);
    if (stream)
        http_exchange_abort(stream);
}

/* ---- liveness ---- */

static void set_worker_state(struct fleet *fleet, const struct worker *worker,
                             enum worker_state state, const char *message)
{
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker);
    copy.state = state;
    mem_replace(&copy.state_message, message);
    log_info("worker", "%s: %s%s%s", worker->name, worker_state_name(state), message ? ": " : "",
             message ? message : "");
    cluster_put(control_cluster(fleet->control), KIND_WORKER, &copy,
                control_now_ms(fleet->control));
}

/* What ran on it is out of sight; it may well serve on, so it stays routed. */
static void mark_instances_unreachable(struct fleet *fleet, const struct worker *worker)
{
    struct cluster *cluster = control_cluster(fleet->control);
    auto_free char *why = mem_printf("contact to worker %s is lost", worker->name);
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (instance->worker_id != worker->id || instance->state != INSTANCE_RUNNING)
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        copy.state = INSTANCE_UNREACHABLE;
        mem_replace(&copy.state_message, why);
        cluster_put(cluster, KIND_INSTANCE, &copy, control_now_ms(fleet->control));
    }
}

static void check_silence(struct fleet *fleet, struct worker *worker)
{
    struct member *member = get_member(fleet, worker->id);
    int64_t silent_ms = mono_now(fleet) - member->contact_ms;
    if (worker->state != WORKER_READY || silent_ms < FLEET_SILENCE_MS)
        return;
    auto_free char *message =
        mem_printf("no contact for %d s; check the worker's process, its log and the network",
                   FLEET_SILENCE_MS / 1000);
    set_worker_state(fleet, worker, WORKER_NOT_READY, message);
    mark_instances_unreachable(fleet, worker);
}

static void note_contact(struct fleet *fleet, const struct worker *worker)
{
    get_member(fleet, worker->id)->contact_ms = mono_now(fleet);
}

static void send_heartbeats(struct fleet *fleet)
{
    struct member *member, *next;
    HASH_ITER(hh, fleet->members, member, next) {
        if (member->stream)
            http_reply_write(member->stream, STR("\n"));
    }
}

static void on_tick(struct timer *timer, void *ctx)
{
    struct fleet *fleet = ctx;
    CLUSTER_FOR_EACH(control_cluster(fleet->control), KIND_WORKER, struct worker, worker)
        check_silence(fleet, worker);
    if (mono_now(fleet) >= fleet->next_heartbeat_ms) {
        fleet->next_heartbeat_ms = mono_now(fleet) + FLEET_HEARTBEAT_MS;
        send_heartbeats(fleet);
    }
    timer_start(timer, TICK_MS);
}

/* ---- desired states ---- */

static void send_desired(struct fleet *fleet, struct member *member)
{
    struct buf instances = {0};
    desired_write(control_cluster(fleet->control), member->worker_id, &instances);
    if (member->generation && str_eq(buf_str(&instances), buf_str(&member->sent))) {
        buf_fini(&instances);
        return;
    }
    buf_fini(&member->sent);
    member->sent = instances;
    member->generation = ++fleet->generation;
    struct buf line = {0};
    buf_printf(&line, "{\"generation\":%llu,\"instances\":%s}\n",
               (unsigned long long)member->generation, instances.ptr);
    http_reply_write(member->stream, buf_str(&line));
    buf_fini(&line);
}

void fleet_flush(struct fleet *fleet)
{
    struct member *member, *next;
    HASH_ITER(hh, fleet->members, member, next) {
        if (!member->is_dirty)
            continue;
        member->is_dirty = false;
        if (!cluster_find(control_cluster(fleet->control), KIND_WORKER, member->worker_id))
            drop_member(fleet, member);
        else if (member->stream)
            send_desired(fleet, member);
    }
}

static void mark_dirty(struct fleet *fleet, int64_t worker_id)
{
    struct member *member = find_member(fleet, worker_id);
    if (member)
        member->is_dirty = true;
}

void fleet_note_change(struct fleet *fleet, enum kind kind, const void *record)
{
    struct member *member, *next;
    if (kind == KIND_WORKER) {
        mark_dirty(fleet, record_id(record));
    } else if (kind == KIND_INSTANCE) {
        mark_dirty(fleet, ((const struct model_instance *)record)->worker_id);
    } else if (kind == KIND_MODEL) {
        HASH_ITER(hh, fleet->members, member, next)
            member->is_dirty = true;
    }
}

struct stream_owner {
    struct fleet *fleet;
    int64_t worker_id;
};

static void on_stream_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct stream_owner *owner = ctx;
    struct member *member = owner->fleet ? find_member(owner->fleet, owner->worker_id) : NULL;
    if (member && member->stream == ex)
        member->stream = NULL;
    free(owner);
}

static void on_stream_end(struct http_exchange *ex, void *ctx)
{
}

static const struct http_exchange_ops stream_ops = {.on_end = on_stream_end,
                                                    .on_close = on_stream_close};

void fleet_subscribe(struct fleet *fleet, const struct worker *worker, struct http_exchange *ex)
{
    struct member *member = get_member(fleet, worker->id);
    struct http_exchange *old = TAKE(member->stream);
    if (old)
        http_exchange_abort(old);
    struct stream_owner *owner = mem_alloc(sizeof *owner);
    *owner = (struct stream_owner){.fleet = fleet, .worker_id = worker->id};
    http_exchange_set_ops(ex, &stream_ops, owner);
    member->stream = ex;
    member->generation = 0;
    const struct http_header type = {STR("Content-Type"), STR("application/x-ndjson")};
    http_reply_start(ex, 200, &type, 1, -1);
    note_contact(fleet, worker);
    /* It leaves with this turn, so that nothing undurable is told. */
    member->is_dirty = true;
    control_wake(fleet->control);
}

/* ---- registration ---- */

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
    if (fresh->port < 1 || fresh->port > 65535)
        return err_set(err, ERR_INVALID, "port: must be 1-65535, not %lld", (long long)fresh->port);
    return 0;
}

/* Gives the worker a name that nobody else has, or refuses when its name was configured. */
static int settle_name(struct fleet *fleet, struct worker *fresh, bool is_configured,
                       struct err *err)
{
    const struct cluster *cluster = control_cluster(fleet->control);
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
        auto_free char *suffix = random_text(5, "0123456789");
        auto_free char *name = mem_printf("%s-%s", wanted, suffix);
        mem_replace(&fresh->name, name);
    }
}

/* The system's labels, then those that the user has put on the known worker, which win. */
static void merge_labels(struct worker *fresh, const struct worker *known)
{
    string_map_set(&fresh->labels, "worker-name", fresh->name);
    for (size_t i = 0; known && i < known->labels.count; i++)
        if (strcmp(known->labels.keys[i], "worker-name") != 0)
            string_map_set(&fresh->labels, known->labels.keys[i], known->labels.values[i]);
}

int fleet_register(struct fleet *fleet, const json_t *body, struct worker **ret, struct err *err)
{
    struct cluster *cluster = control_cluster(fleet->control);
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    int rc = read_registration(body, &fresh, err);
    bool is_configured = json_is_true(json_object_get(body, "name_is_configured"));
    if (rc == 0)
        rc = settle_name(fleet, &fresh, is_configured, err);
    const struct worker *known = cluster_worker_by_uuid(cluster, fresh.worker_uuid);
    if (rc == 0 && !known && cluster->tables[KIND_WORKER].count >= FLEET_WORKERS_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "the cluster has %d workers, more are not taken",
                     FLEET_WORKERS_MAX);
    if (rc < 0) {
        record_fini(&worker_type, &fresh);
        return rc;
    }
    merge_labels(&fresh, known);
    fresh.id = known ? known->id : 0;
    fresh.created_at = known ? known->created_at : 0;
    fresh.updated_at = known ? known->updated_at : 0;
    fresh.state = known ? known->state : WORKER_NOT_READY;
    fresh.heartbeat_time = control_now_ms(fleet->control);
    mem_replace(&fresh.state_message, known ? known->state_message : "its first report is due");
    mem_replace(&fresh.status, known ? known->status : NULL);
    fresh.memory_total = known ? known->memory_total : 0;
    struct worker *row = cluster_put(cluster, KIND_WORKER, &fresh, control_now_ms(fleet->control));
    note_contact(fleet, row);
    *ret = row;
    return 0;
}

/* ---- reports ---- */

int fleet_report(struct fleet *fleet, int64_t worker_id, const json_t *body, struct err *err)
{
    struct cluster *cluster = control_cluster(fleet->control);
    struct member *member = get_member(fleet, worker_id);
    struct report_env env = {
        .now_ms = control_now_ms(fleet->control),
        .is_current = member->generation != 0 &&
                      json_member_int(body, "generation", 0) == (int64_t)member->generation,
    };
    int rc = report_apply(cluster, worker_id, body, &env, err);
    if (rc < 0)
        return rc;
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    note_contact(fleet, worker);
    /* Only now: before its report nobody knows what it has room for. */
    if (worker->state != WORKER_READY)
        set_worker_state(fleet, worker, WORKER_READY, NULL);
    return 0;
}

/* ---- life ---- */

struct fleet *fleet_new(struct control *control)
{
    struct fleet *fleet = mem_alloc(sizeof *fleet);
    fleet->control = control;
    /* Above every generation of an earlier life of control, whose clock this is. */
    fleet->generation = (uint64_t)control_now_ms(control);
    timer_init(&fleet->tick, control_loop(control), on_tick, fleet);
    timer_start(&fleet->tick, TICK_MS);
    return fleet;
}

void fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    timer_stop(&fleet->tick);
    struct member *member, *next;
    HASH_ITER(hh, fleet->members, member, next)
        drop_member(fleet, member);
    free(fleet);
}
