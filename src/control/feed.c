/* SPDX-License-Identifier: Apache-2.0 */
#include "control/feed.h"

#include "base/log.h"
#include "control/ledger.h"
#include "control/turn_priv.h"

#include <assert.h>

struct feed_hub {
    struct control *control;
    struct list_node subscribers;
    struct timer heartbeat;
    uint64_t seq;
};

struct subscriber {
    struct list_node node;
    struct feed_hub *feed;
    struct http_exchange *ex;
    const struct feed_turn *turn; /* whose release gives it the snapshot; NULL before that ended */
    bool is_following;            /* it has the snapshot: lines may follow */
    size_t snapshot_bytes;        /* of that; they may wait beside FEED_QUEUE_MAX */
};

static const struct {
    enum kind kind;
    const char *name;
} feed_kinds[] = {
    {KIND_USER, "user"},   {KIND_API_KEY, "key"},       {KIND_SESSION, "session"},
    {KIND_MODEL, "model"}, {KIND_INSTANCE, "endpoint"}, {KIND_ROUTE, "route"},
};

static const char *feed_kind_name(enum kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(feed_kinds); i++)
        if (feed_kinds[i].kind == kind)
            return feed_kinds[i].name;
    return NULL;
}

/* ---- lines ---- */

static struct json_writer begin_line(struct buf *lines, const char *op, uint64_t seq)
{
    struct json_writer w = json_writer_into(lines);
    json_begin_object(&w);
    json_put_string(&w, "op", op);
    json_put_int(&w, "seq", (int64_t)seq);
    return w;
}

static void end_line(struct json_writer *w)
{
    json_end_object(w);
    buf_add_char(w->out, '\n');
}

static void put_strings(struct json_writer *w, const char *key, const struct string_list *list)
{
    json_add_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_cstring(w, list->items[i]);
    json_end_array(w);
}

static void put_limits(struct json_writer *w, const struct limits *limits)
{
    json_put_int(w, "requests_per_minute", limits->requests_per_minute);
    json_put_int(w, "tokens_per_minute", limits->tokens_per_minute);
    json_put_int(w, "concurrent_requests", limits->concurrent_requests);
    json_put_int(w, "token_budget", limits->token_budget);
    json_put_string(w, "budget_period", budget_period_names[limits->budget_period]);
}

static void put_user(struct json_writer *w, const struct user *user)
{
    json_put_string(w, "username", user->username);
    json_put_bool(w, "is_admin", user->is_admin);
    json_put_bool(w, "is_active", user->is_active);
    json_put_bool(w, "require_password_change", user->require_password_change);
    put_limits(w, &user->limits);
}

static void put_key(struct json_writer *w, const struct api_key *key)
{
    json_put_string(w, "access_key", key->access_key);
    json_put_string(w, "secret_digest", key->secret_digest);
    if (key->previous_digest) {
        json_put_string(w, "previous_digest", key->previous_digest);
        json_put_int(w, "previous_expires_at_ms", key->previous_expires_at);
    }
    json_put_int(w, "user_id", key->user_id);
    json_put_int(w, "expires_at_ms", key->expires_at);
    put_strings(w, "scope", &key->scope);
    put_strings(w, "allowed_model_names", &key->allowed_model_names);
    put_limits(w, &key->limits);
}

static void put_session(struct json_writer *w, const struct session *session)
{
    json_put_string(w, "token_digest", session->token_digest);
    json_put_int(w, "user_id", session->user_id);
    json_put_int(w, "expires_at_ms", session->expires_at);
}

static void put_model(struct json_writer *w, const struct model *model)
{
    json_put_string(w, "name", model->name);
    json_put_int(w, "created_ms", model->created_at);
    put_strings(w, "categories", &model->categories);
    json_put_bool(w, "is_stopped", model->replicas == 0);
    json_put_bool(w, "generic_proxy", model->generic_proxy);
    json_put_int(w, "first_byte_timeout_ms", model->first_byte_timeout * 1000);
    put_limits(w, &model->limits);
}

static void put_route(struct json_writer *w, const struct model_route *route)
{
    json_put_string(w, "name", route->name);
    json_add_key(w, "targets");
    json_add_raw(w, str_of(route->targets)); /* in the same shape as in the record */
    json_put_int(w, "fallback_model_id", route->fallback_model_id);
}

static void put_endpoint(struct json_writer *w, const struct cluster *cluster,
                         const struct model_instance *instance, const struct worker *worker)
{
    auto_free char *token = cluster_instance_token(cluster, instance->id);
    json_put_string(w, "name", instance->name);
    json_put_int(w, "model_id", instance->model_id);
    json_put_string(w, "host", worker->ip);
    json_put_int(w, "port", worker->port);
    json_put_int(w, "local_port", instance->port);
    json_put_string(w, "netns_id", worker->netns_id);
    json_put_string(w, "token", token);
    json_put_string(w, "served_name", instance->served_name);
}

/* The worker of an instance that requests may be sent to, or NULL. Lost contact is not death. */
static const struct worker *routable_worker(const struct cluster *cluster,
                                            const struct model_instance *instance)
{
    bool serves = instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_UNREACHABLE;
    if (!serves || instance->is_draining || instance->port == 0)
        return NULL;
    return cluster_find(cluster, KIND_WORKER, instance->worker_id);
}

static void add_delete_line(struct feed_hub *feed, enum kind kind, int64_t id, struct buf *lines)
{
    struct json_writer w = begin_line(lines, "del", feed->seq);
    json_put_string(&w, "kind", feed_kind_name(kind));
    json_put_int(&w, "id", id);
    end_line(&w);
}

/* Whether gateways shall know of it; the worker of an instance that they shall. */
static bool is_told(const struct cluster *cluster, enum kind kind, const void *record,
                    const struct worker **ret_worker)
{
    if (kind == KIND_API_KEY)
        return ((const struct api_key *)record)->enabled;
    if (kind != KIND_INSTANCE)
        return true;
    *ret_worker = routable_worker(cluster, record);
    return *ret_worker != NULL;
}

static void add_put_line(struct feed_hub *feed, enum kind kind, const void *record,
                         struct buf *lines)
{
    const struct cluster *cluster = control_cluster(feed->control);
    const struct worker *worker = NULL;
    if (!is_told(cluster, kind, record, &worker)) {
        add_delete_line(feed, kind, record_id(record), lines);
        return;
    }
    struct json_writer w = begin_line(lines, "put", feed->seq);
    json_put_string(&w, "kind", feed_kind_name(kind));
    json_put_int(&w, "id", record_id(record));
    switch (kind) {
    case KIND_USER:
        put_user(&w, record);
        break;
    case KIND_API_KEY:
        put_key(&w, record);
        break;
    case KIND_SESSION:
        put_session(&w, record);
        break;
    case KIND_MODEL:
        put_model(&w, record);
        break;
    case KIND_INSTANCE:
        put_endpoint(&w, cluster, record, worker);
        break;
    case KIND_ROUTE:
        put_route(&w, record);
        break;
    case KIND_WORKER:
    case KIND_EVENT:
    case KIND_REVISION:
    case KIND_MODEL_METADATA:
    case KIND_MODEL_FILE:
    case KIND_COUNT:
        break;
    }
    end_line(&w);
}

static void add_spending_line(struct feed_hub *feed, const struct spending_line *line,
                              struct buf *lines)
{
    struct json_writer w = begin_line(lines, "put", feed->seq);
    json_put_string(&w, "kind", "spending");
    json_put_string(&w, "subject", spending_subject_names[line->spent.subject]);
    json_put_int(&w, "id", line->spent.id);
    json_put_int(&w, "period_start_ms", line->spent.start_ms);
    json_put_int(&w, "tokens", line->spent.tokens);
    json_put_string(&w, "gateway", line->gateway);
    json_put_int(&w, "applied", line->applied);
    end_line(&w);
}

struct snapshot {
    struct feed_hub *feed;
    struct buf *lines;
};

static void add_snapshot_spending(const struct spending_line *line, void *ctx)
{
    const struct snapshot *snapshot = ctx;
    add_spending_line(snapshot->feed, line, snapshot->lines);
}

static void add_snapshot(struct feed_hub *feed, struct buf *lines)
{
    struct json_writer w = begin_line(lines, "reset", feed->seq);
    end_line(&w);
    const struct cluster *cluster = control_cluster(feed->control);
    const struct worker *worker;
    for (size_t i = 0; i < ARRAY_LEN(feed_kinds); i++) {
        const struct table *table = &cluster->tables[feed_kinds[i].kind];
        for (size_t row = 0; row < table->count; row++)
            if (is_told(cluster, feed_kinds[i].kind, table->rows[row], &worker))
                add_put_line(feed, feed_kinds[i].kind, table->rows[row], lines);
    }
    struct snapshot snapshot = {.feed = feed, .lines = lines};
    ledger_each_line(control_ledger(feed->control), add_snapshot_spending, &snapshot);
    w = begin_line(lines, "ready", feed->seq);
    end_line(&w);
}

/* ---- changes ---- */

/* A worker's new address changes the endpoints of its instances. */
static void note_worker(struct feed_hub *feed, const struct worker *worker, struct feed_turn *turn)
{
    CLUSTER_FOR_KEY(&control_cluster(feed->control)->instances_on_worker, worker->id,
                    struct model_instance, instance) {
        if (instance->worker_id == worker->id) /* of a gang it may be another rank's */
            feed_note_put(feed, KIND_INSTANCE, instance, turn);
    }
}

void feed_note_put(struct feed_hub *feed, enum kind kind, const void *record,
                   struct feed_turn *turn)
{
    if (kind == KIND_WORKER) {
        note_worker(feed, record, turn);
        return;
    }
    if (!feed_kind_name(kind))
        return;
    feed->seq++;
    add_put_line(feed, kind, record, &turn->lines);
}

void feed_note_delete(struct feed_hub *feed, enum kind kind, const void *record,
                      struct feed_turn *turn)
{
    if (!feed_kind_name(kind))
        return;
    feed->seq++;
    add_delete_line(feed, kind, record_id(record), &turn->lines);
}

void feed_note_spending(struct feed_hub *feed, const struct spending_line *line,
                        struct feed_turn *turn)
{
    feed->seq++;
    add_spending_line(feed, line, &turn->lines);
}

void feed_turn_fini(struct feed_turn *turn)
{
    buf_fini(&turn->lines);
    buf_fini(&turn->snapshot);
}

/* ---- subscribers ---- */

static void send_to(struct subscriber *subscriber, struct str lines)
{
    if (http_reply_write(subscriber->ex, lines) >
        FEED_QUEUE_MAX + subscriber->snapshot_bytes) {
        log_warning("feed", "a gateway reads too slowly; its feed is cut, it will get a snapshot");
        http_exchange_abort(subscriber->ex);
    }
}

/* Turns are released in their order: lines of earlier ones stand in the snapshot already. */
void feed_end_turn(struct feed_hub *feed, struct feed_turn *turn)
{
    LIST_FOR_EACH(struct subscriber, subscriber, &feed->subscribers, node) {
        if (subscriber->turn)
            continue;
        subscriber->turn = turn;
        if (turn->snapshot.len == 0)
            add_snapshot(feed, &turn->snapshot);
    }
}

void feed_flush(struct feed_hub *feed, const struct feed_turn *turn)
{
    LIST_FOR_EACH(struct subscriber, subscriber, &feed->subscribers, node) {
        if (subscriber->is_following && turn->lines.len)
            send_to(subscriber, buf_str(&turn->lines));
        if (subscriber->is_following || subscriber->turn != turn)
            continue;
        subscriber->is_following = true;
        subscriber->snapshot_bytes = turn->snapshot.len;
        send_to(subscriber, buf_str(&turn->snapshot));
    }
}

static void on_heartbeat(struct timer *timer, void *ctx)
{
    struct feed_hub *feed = ctx;
    LIST_FOR_EACH(struct subscriber, subscriber, &feed->subscribers, node)
        send_to(subscriber, STR("\n"));
    timer_start(timer, FEED_HEARTBEAT_MS);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct subscriber *subscriber = ctx;
    list_remove(&subscriber->node);
    free(subscriber);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
}

static const struct http_exchange_ops subscriber_ops = {.on_end = on_end, .on_close = on_close};

void feed_subscribe(struct feed_hub *feed, struct http_exchange *ex)
{
    struct subscriber *subscriber = mem_alloc(sizeof *subscriber);
    subscriber->feed = feed;
    subscriber->ex = ex;
    list_add_tail(&feed->subscribers, &subscriber->node);
    http_exchange_set_ops(ex, &subscriber_ops, subscriber);
    const struct http_header type = {STR("Content-Type"), STR("application/x-ndjson")};
    http_reply_start(ex, 200, &type, 1, -1);
    control_wake(feed->control); /* the turn that it will get its snapshot with */
}

struct feed_hub *feed_hub_new(struct control *control)
{
    struct feed_hub *feed = mem_alloc(sizeof *feed);
    feed->control = control;
    list_init(&feed->subscribers);
    timer_init(&feed->heartbeat, control_loop(control), on_heartbeat, feed);
    timer_start(&feed->heartbeat, FEED_HEARTBEAT_MS);
    return feed;
}

void feed_hub_free(struct feed_hub *feed)
{
    if (!feed)
        return;
    timer_stop(&feed->heartbeat);
    assert(list_is_empty(&feed->subscribers));
    free(feed);
}
