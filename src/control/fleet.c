/* SPDX-License-Identifier: Apache-2.0 */
#include "control/fleet.h"

#include "base/random.h"
#include "control/desired.h"
#include "control/liveness.h"
#include "control/registration.h"
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
    uint64_t generation;          /* of the last desired state that a turn ended with */
    struct buf desired;           /* that state */
    struct list_node dirty;       /* in fleet->dirty: its desired state may differ from that */
};

struct fleet {
    struct control *control;
    struct member *members; /* uthash by worker_id */
    struct list_node dirty; /* struct member by `dirty` */
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

static void add_item(struct desired_turn *turn, int64_t worker_id, char *line)
{
    if (turn->count == turn->cap) {
        turn->cap = turn->cap ? 2 * turn->cap : 16;
        turn->items = mem_resize(turn->items, turn->cap * sizeof *turn->items);
    }
    turn->items[turn->count++] = (struct desired_turn_item){worker_id, line};
}

/* Writes down what the worker shall run, if that differs from the last time. */
static void write_desired(struct fleet *fleet, struct member *member, struct desired_turn *turn)
{
    struct buf instances = {0};
    desired_write(control_cluster(fleet->control), member->worker_id, &instances);
    if (member->generation && str_eq(buf_str(&instances), buf_str(&member->desired))) {
        buf_fini(&instances);
        return;
    }
    buf_fini(&member->desired);
    member->desired = instances;
    member->generation = ++fleet->generation;
    add_item(turn, member->worker_id,
             mem_printf("{\"generation\":%llu,\"instances\":%s}\n",
                        (unsigned long long)member->generation, instances.ptr));
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

void fleet_note_change(struct fleet *fleet, enum kind kind, const void *record)
{
    struct member *member, *next;
    if (kind == KIND_WORKER) {
        mark_dirty(fleet, record_id(record));
    } else if (kind == KIND_INSTANCE) {
        mark_dirty(fleet, ((const struct model_instance *)record)->worker_id);
    } else if (kind == KIND_MODEL) {
        HASH_ITER(hh, fleet->members, member, next)
            mark_member(fleet, member);
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
    mark_member(fleet, member);
    control_wake(fleet->control);
}

/* ---- registration ---- */

static char *make_digits(void *ctx)
{
    return random_text(5, "0123456789");
}

int fleet_register(struct fleet *fleet, const json_t *body, struct worker **ret, struct err *err)
{
    struct registration_env env = {.now_ms = control_now_ms(fleet->control),
                                   .make_digits = make_digits};
    int rc = registration_apply(control_cluster(fleet->control), body, &env, ret, err);
    if (rc == 0)
        note_contact(fleet, *ret);
    return rc;
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
    liveness_regain(cluster, worker, env.now_ms);
    return 0;
}

/* ---- life ---- */

struct fleet *fleet_new(struct control *control)
{
    struct fleet *fleet = mem_alloc(sizeof *fleet);
    fleet->control = control;
    list_init(&fleet->dirty);
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
