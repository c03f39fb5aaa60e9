/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fleet.h"

#include "base/random.h"
#include "control/desired.h"
#include "control/events.h"
#include "control/file_reports.h"
#include "control/gangs.h"
#include "control/liveness.h"
#include "control/lost.h"
#include "control/model_files.h"
#include "control/registration.h"
#include "control/report.h"
#include "control/shapes.h"
#include "control/turn_priv.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

/* What control remembers of a worker besides its record: the connection and when it was heard. */
struct member {
    UT_hash_handle hh;
    int64_t worker_id;            /* key */
    struct http_exchange *stream; /* its desired stream, or NULL */
    struct report_order order;    /* of its reports */
    int64_t contact_ms;           /* monotonic time of the last byte from it */
    uint64_t generation;          /* of the last desired state that a turn ended with */
    struct buf desired;           /* that state: members of its object */
    bool is_held;                 /* an event has told that it is held back */
    struct list_node dirty;       /* in fleet->dirty: its desired state may differ from that */
};

struct fleet {
    struct control *control;
    struct member *members; /* uthash by worker_id */
    struct list_node dirty; /* struct member by `dirty` */
    struct timer tick;
    uint64_t generation; /* last one given to any worker; grows over restarts too */
    int64_t reschedule_grace_ms;
    int64_t next_heartbeat_ms;
    int64_t ticked_ms; /* monotonic time of the last tick */
};

enum {
    TICK_MS = 1000,
    LATE_TICK_MS = 2000, /* after the last one: control itself was held up */
};

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
    list_remove(&member->dirty);
    buf_fini(&member->desired);
    free(member);
    if (stream)
        http_exchange_abort(stream);
}

/* ---- liveness ---- */

static void check_silence(struct fleet *fleet, const struct worker *worker)
{
    struct member *member = get_member(fleet, worker->id);
    if (liveness_is_overdue(worker, member->contact_ms, mono_now(fleet)))
        liveness_lose(control_cluster(fleet->control), worker, control_now_ms(fleet->control));
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

/* ---- giving up ---- */

/* The workers that are silent now; returns owned, `ret_count` items. */
static struct silent_worker *list_silent(const struct fleet *fleet, size_t *ret_count)
{
    const struct cluster *cluster = control_cluster(fleet->control);
    struct silent_worker *silent =
        mem_alloc_array(cluster->tables[KIND_WORKER].count + 1, sizeof *silent);
    size_t count = 0;
    CLUSTER_FOR_EACH(cluster, KIND_WORKER, struct worker, worker) {
        const struct member *member = find_member(fleet, worker->id);
        if (worker->state == WORKER_NOT_READY && member &&
            mono_now(fleet) - member->contact_ms >= LIVENESS_SILENCE_MS)
            silent[count++] =
                (struct silent_worker){.id = worker->id, .contact_ms = member->contact_ms};
    }
    *ret_count = count;
    return silent;
}

/* Tells once per silence that a worker would be given up but for the many others. */
static void tell_held(struct fleet *fleet, const struct silent_worker *silent, size_t count)
{
    struct cluster *cluster = control_cluster(fleet->control);
    struct member *member = get_member(fleet, silent->id);
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, silent->id);
    bool is_due = silent->is_held &&
                  mono_now(fleet) - silent->contact_ms >= fleet->reschedule_grace_ms;
    if (is_due && !member->is_held) {
        size_t total = cluster->tables[KIND_WORKER].count;
        auto_free char *args = mem_printf("{\"silent\":%zu,\"workers\":%zu}", count, total);
        events_note(cluster, KIND_WORKER, worker, EVENT_HELD_BACK, args,
                    control_now_ms(fleet->control),
                    "its instances are not replaced: %zu of %zu workers are silent, which is more "
                    "likely a fault of the network or the server",
                    count, total);
    }
    member->is_held = is_due;
}

static void find_lost(struct fleet *fleet)
{
    size_t count;
    auto_free struct silent_worker *silent = list_silent(fleet, &count);
    struct int_list lost = {0};
    lost_find(silent, count, control_cluster(fleet->control)->tables[KIND_WORKER].count,
              fleet->reschedule_grace_ms, mono_now(fleet), &lost);
    for (size_t i = 0; i < count; i++)
        tell_held(fleet, &silent[i], count);
    control_set_lost(fleet->control, &lost);
}

/* ---- gangs ---- */

static void start_due_gangs(struct fleet *fleet)
{
    struct cluster *cluster = control_cluster(fleet->control);
    const struct gang_env env = {.now_ms = control_now_ms(fleet->control),
                                 .now_mono_ms = mono_now(fleet)};
    CLUSTER_FOR_EACH(cluster, KIND_INSTANCE, struct model_instance, instance) {
        if (!gangs_is_due(instance, &env))
            continue;
        struct model_instance copy = {0};
        record_copy(&model_instance_type, &copy, instance);
        gangs_settle(cluster, &copy, &env);
        cluster_put(cluster, KIND_INSTANCE, &copy, env.now_ms);
    }
}

/*
 * When control was held up itself (stopped, starved, its machine asleep), nobody could be heard:
 * that time is no silence of the workers'.
 */
static void excuse_own_absence(struct fleet *fleet)
{
    int64_t now_ms = mono_now(fleet), late_ms = now_ms - fleet->ticked_ms - TICK_MS;
    bool was_away = now_ms - fleet->ticked_ms > LATE_TICK_MS;
    fleet->ticked_ms = now_ms;
    struct member *member, *next;
    HASH_ITER(hh, fleet->members, member, next) {
        if (!was_away)
            return;
        member->contact_ms += late_ms;
        if (member->contact_ms > now_ms)
            member->contact_ms = now_ms;
    }
}

static void on_tick(struct timer *timer, void *ctx)
{
    struct fleet *fleet = ctx;
    excuse_own_absence(fleet);
    CLUSTER_FOR_EACH(control_cluster(fleet->control), KIND_WORKER, struct worker, worker)
        check_silence(fleet, worker);
    find_lost(fleet);
    start_due_gangs(fleet);
    control_watch_store(fleet->control);
    if (mono_now(fleet) >= fleet->next_heartbeat_ms) {
        fleet->next_heartbeat_ms = mono_now(fleet) + FLEET_HEARTBEAT_MS;
        send_heartbeats(fleet);
    }
    timer_start(timer, TICK_MS);
}

/* ---- desired states ---- */

static void add_item(struct desired_turn *turn, int64_t worker_id, char *line)
{
    if (turn->count == turn->cap) {
        turn->cap = turn->cap ? 2 * turn->cap : 16;
        turn->items = mem_resize(turn->items, turn->cap * sizeof *turn->items);
    }
    turn->items[turn->count++] = (struct desired_turn_item){worker_id, line};
}

/* The members of a desired state: what the worker shall run, and look at. */
static void write_members(struct fleet *fleet, int64_t worker_id, struct buf *out)
{
    const struct cluster *cluster = control_cluster(fleet->control);
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    buf_add_cstr(out, "\"instances\":");
    desired_write(cluster, worker_id, out);
    if (worker->downloads) {
        buf_add_cstr(out, ",\"model_files\":");
        model_files_write_wishes(cluster, worker_id, out);
    }
    if (!worker->inspects)
        return;
    buf_add_cstr(out, ",\"inspect\":");
    shapes_write_questions(control_shapes(fleet->control), worker_id, out);
}

/* Writes down what is wanted of the worker, if that differs from the last time. */
static void write_desired(struct fleet *fleet, struct member *member, struct desired_turn *turn)
{
    struct buf members = {0};
    write_members(fleet, member->worker_id, &members);
    if (member->generation && str_eq(buf_str(&members), buf_str(&member->desired))) {
        buf_fini(&members);
        return;
    }
    buf_fini(&member->desired);
    member->desired = members;
    member->generation = ++fleet->generation;
    add_item(turn, member->worker_id,
             mem_printf("{\"generation\":%llu,%s}\n", (unsigned long long)member->generation,
                        members.ptr));
}

void fleet_end_turn(struct fleet *fleet, struct desired_turn *turn)
{
    LIST_FOR_EACH(struct member, member, &fleet->dirty, dirty) {
        list_remove(&member->dirty);
        if (!cluster_find(control_cluster(fleet->control), KIND_WORKER, member->worker_id))
            add_item(turn, member->worker_id, NULL);
        else if (member->stream)
            write_desired(fleet, member, turn);
    }
}

void fleet_flush(struct fleet *fleet, const struct desired_turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const struct desired_turn_item *item = &turn->items[i];
        struct member *member = find_member(fleet, item->worker_id);
        if (member && !item->line)
            drop_member(fleet, member);
        else if (member && member->stream)
            http_reply_write(member->stream, str_of(item->line));
    }
}

void desired_turn_fini(struct desired_turn *turn)
{
    for (size_t i = 0; i < turn->count; i++)
        mem_free_secret(turn->items[i].line); /* tokens stand in it */
    free(turn->items);
    *turn = (struct desired_turn){0};
}

static void mark_member(struct fleet *fleet, struct member *member)
{
    if (!list_is_linked(&member->dirty))
        list_add_tail(&fleet->dirty, &member->dirty);
}

static void mark_dirty(struct fleet *fleet, int64_t worker_id)
{
    struct member *member = find_member(fleet, worker_id);
    if (member)
        mark_member(fleet, member);
}

static void mark_workers_of(struct fleet *fleet, const struct model_instance *instance)
{
    mark_dirty(fleet, instance->worker_id);
    for (size_t i = 0; i < instance->subordinate_worker_ids.count; i++)
        mark_dirty(fleet, instance->subordinate_worker_ids.items[i]);
}

/* All that see the storage: who had the lease before must hear of it, too. */
static void mark_workers_of_storage(struct fleet *fleet, const struct model_file *file)
{
    mark_dirty(fleet, file->worker_id);
    CLUSTER_FOR_EACH(control_cluster(fleet->control), KIND_WORKER, struct worker, worker) {
        if (worker->storage_id && strcmp(worker->storage_id, file->storage_id) == 0)
            mark_dirty(fleet, worker->id);
    }
}

void fleet_note_change(struct fleet *fleet, enum kind kind, const void *record)
{
    if (kind == KIND_WORKER) {
        mark_dirty(fleet, record_id(record));
    } else if (kind == KIND_INSTANCE) {
        mark_workers_of(fleet, record);
    } else if (kind == KIND_MODEL_FILE) {
        mark_workers_of_storage(fleet, record);
    } else if (kind == KIND_MODEL) {
        CLUSTER_FOR_KEY(&control_cluster(fleet->control)->instances_of_model, record_id(record),
                        struct model_instance, instance)
            mark_workers_of(fleet, instance);
    }
}

void fleet_note_questions(struct fleet *fleet)
{
    struct member *member, *next;
    HASH_ITER(hh, fleet->members, member, next)
        mark_member(fleet, member);
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
    mark_member(fleet, member);
    control_wake(fleet->control);
}

/* ---- registration ---- */

static char *make_digits(void *ctx)
{
    return random_text(5, "0123456789");
}

/* Above every number that this worker was given, in earlier lives of control too. */
static int64_t next_session(const struct fleet *fleet, struct member *member)
{
    int64_t now_ms = control_now_ms(fleet->control);
    int64_t after = member->order.session + 1;
    member->order = (struct report_order){.session = now_ms > after ? now_ms : after};
    return member->order.session;
}

int fleet_register(struct fleet *fleet, const json_t *body, struct worker **ret,
                   int64_t *ret_session, struct err *err)
{
    struct registration_env env = {.now_ms = control_now_ms(fleet->control),
                                   .make_digits = make_digits};
    int rc = registration_apply(control_cluster(fleet->control), body, &env, ret, err);
    if (rc < 0)
        return rc;
    note_contact(fleet, *ret);
    *ret_session = next_session(fleet, get_member(fleet, (*ret)->id));
    return 0;
}

/* ---- reports ---- */

int fleet_report(struct fleet *fleet, int64_t worker_id, const json_t *body, struct err *err)
{
    struct cluster *cluster = control_cluster(fleet->control);
    struct member *member = get_member(fleet, worker_id);
    struct report_env env = {
        .now_ms = control_now_ms(fleet->control),
        .now_mono_ms = mono_now(fleet),
        .is_current = member->generation != 0 &&
                      json_member_int(body, "generation", 0) == (int64_t)member->generation,
    };
    enum report_age age = report_age(&member->order, body);
    if (age == REPORT_FORSAKEN)
        return err_set(err, ERR_UNAUTHORIZED, "this session of the worker is over; register again");
    if (age == REPORT_STALE)
        return 0;
    int rc = report_apply(cluster, worker_id, body, &env, err);
    if (rc < 0)
        return rc;
    if (rc > 0)
        control_note_room(fleet->control);
    const struct worker *worker = cluster_find(cluster, KIND_WORKER, worker_id);
    shapes_take_report(control_shapes(fleet->control), worker_id,
                       json_object_get(body, "inspections"));
    file_reports_take(cluster, worker_id, json_object_get(body, "model_files"), env.now_ms);
    note_contact(fleet, worker);
    /* Only now: before its report nobody knows what it has room for. */
    bool was_silent = worker->state == WORKER_NOT_READY;
    liveness_regain(cluster, worker, env.now_ms);
    if (was_silent)
        control_drop_lost(fleet->control, worker_id); /* nothing of it may be replaced any more */
    return 0;
}

/* ---- life ---- */

struct fleet *fleet_new(struct control *control, int64_t reschedule_grace_ms)
{
    struct fleet *fleet = mem_alloc(sizeof *fleet);
    fleet->control = control;
    fleet->reschedule_grace_ms = reschedule_grace_ms ? reschedule_grace_ms : LOST_GRACE_MS;
    list_init(&fleet->dirty);
    /* Above every generation of an earlier life of control, whose clock this is. */
    fleet->generation = (uint64_t)control_now_ms(control);
    fleet->ticked_ms = mono_now(fleet);
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
