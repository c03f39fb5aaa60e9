/* SPDX-License-Identifier: Apache-2.0 */
#include "control/watch.h"

#include "base/log.h"
#include "base/random.h"
#include "control/turn_priv.h"

#include <assert.h>

enum { PIECE_BYTES = 16 << 10 }; /* written to the exchange at once */

struct watch_hub {
    struct control *control;
    struct change_log log;
    struct list_node watchers;
    unsigned count;
    struct timer heartbeat, late;
    char *boot;
    bool access_changed; /* users, keys or sessions differ in this turn */
};

struct watcher {
    struct list_node node;
    struct watch_hub *hub;
    struct http_exchange *ex;
    const struct watcher_ops *ops;
    void *ctx;
    int64_t user_id;
    unsigned kinds;
    uint64_t seq;       /* told up to here */
    uint64_t reset_seq; /* end of the log at the last reset: rows deleted before were never told */
    bool can_reset;
    bool is_ready;  /* NEWS_READY was told since the reset or resume */
    bool is_full;   /* wait for on_drain() */
    bool is_ending; /* nothing is written any more */
};

/* ---- telling ---- */

/* Hands the text to the exchange and empties it. */
static void send(struct watcher *watcher, struct buf *text)
{
    if (text->len && http_reply_write(watcher->ex, buf_str(text)) > WATCH_QUEUE_MAX)
        watcher->is_full = true;
    buf_clear(text);
}

static void write_news(struct watcher *watcher, enum news_op op, struct buf *text)
{
    const struct news news = {.op = op, .seq = watcher->seq};
    watcher->ops->write(&news, text, watcher->ctx);
}

static void write_row(struct watcher *watcher, const struct change_row *row, struct buf *text)
{
    const struct cluster *cluster = control_cluster(watcher->hub->control);
    bool is_old = row->deleted && row->seq <= watcher->reset_seq;
    watcher->seq = row->seq;
    if (!(watcher->kinds & 1U << row->kind) || is_old)
        return;
    const struct news news = {
        .op = row->deleted ? NEWS_DELETE : NEWS_PUT,
        .seq = row->seq,
        .kind = row->kind,
        .record = row->deleted ? row->deleted : cluster_find(cluster, row->kind, row->id),
    };
    watcher->ops->write(&news, text, watcher->ctx);
}

static void reset(struct watcher *watcher, struct buf *text)
{
    watcher->seq = 0;
    watcher->reset_seq = watcher->hub->log.seq;
    watcher->is_ready = false;
    write_news(watcher, NEWS_RESET, text);
}

/* Whether a row that it may have been told was deleted and forgotten since. */
static bool is_lost(const struct watcher *watcher)
{
    uint64_t seq = watcher->seq > watcher->reset_seq ? watcher->seq : watcher->reset_seq;
    return watcher->seq > 0 && !changes_knows(&watcher->hub->log, seq);
}

/* Tells the watcher what it hasn't heard, as far as it takes it and as it is durable. */
static void pump(struct watcher *watcher)
{
    const struct change_log *log = &watcher->hub->log;
    if (watcher->is_full || watcher->is_ending)
        return;
    struct buf text = {0};
    if (is_lost(watcher)) {
        if (!watcher->can_reset) {
            watcher->is_ending = true;
            http_exchange_abort(watcher->ex);
            return;
        }
        reset(watcher, &text);
    }
    const struct change_row *row = changes_after(log, watcher->seq);
    for (; row && !watcher->is_full && row->unsettled == 0; row = changes_next(log, row)) {
        write_row(watcher, row, &text);
        if (text.len >= PIECE_BYTES)
            send(watcher, &text);
    }
    if (!row && !watcher->is_ready) {
        watcher->is_ready = true;
        write_news(watcher, NEWS_READY, &text);
    }
    send(watcher, &text);
    buf_fini(&text);
}

static void pump_all(struct watch_hub *hub)
{
    LIST_FOR_EACH(struct watcher, watcher, &hub->watchers, node)
        pump(watcher);
}

/* Says why and closes; who doesn't read is cut off. */
static void end(struct watcher *watcher)
{
    if (watcher->is_ending)
        return;
    watcher->is_ending = true;
    struct buf text = {0};
    write_news(watcher, NEWS_END, &text);
    if (http_reply_write(watcher->ex, buf_str(&text)) > 0)
        http_exchange_abort(watcher->ex);
    else
        http_reply_end(watcher->ex);
    buf_fini(&text);
}

static void check_access(struct watch_hub *hub)
{
    LIST_FOR_EACH(struct watcher, watcher, &hub->watchers, node) {
        if (!watcher->ops->is_allowed(watcher->ctx))
            end(watcher);
    }
}

static void on_heartbeat(struct timer *timer, void *ctx)
{
    struct watch_hub *hub = ctx;
    check_access(hub);
    LIST_FOR_EACH(struct watcher, watcher, &hub->watchers, node) {
        struct buf text = {0};
        if (!watcher->is_full && !watcher->is_ending)
            write_news(watcher, NEWS_HEARTBEAT, &text);
        send(watcher, &text);
        buf_fini(&text);
    }
    timer_start(timer, WATCH_HEARTBEAT_MS);
}

/* ---- changes ---- */

static int64_t now_ms(const struct watch_hub *hub)
{
    return clock_mono_ms(loop_clock(control_loop(hub->control)));
}

static void on_late(struct timer *timer, void *ctx)
{
    struct watch_hub *hub = ctx;
    changes_flush_late(&hub->log, now_ms(hub));
    pump_all(hub);
    if (changes_has_late(&hub->log))
        timer_start(timer, CHANGES_QUIET_MS);
}

static void note_access(struct watch_hub *hub, enum kind kind)
{
    if (kind == KIND_USER || kind == KIND_API_KEY || kind == KIND_SESSION)
        hub->access_changed = true;
}

void watch_note_put(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                    const void *record, bool is_durable)
{
    changes_note_put(&hub->log, batch, kind, record, is_durable);
    note_access(hub, kind);
}

void watch_note_delete(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                       const void *record)
{
    changes_note_delete(&hub->log, batch, kind, record);
    note_access(hub, kind);
}

void watch_end_turn(struct watch_hub *hub)
{
    if (!hub->access_changed)
        return;
    hub->access_changed = false;
    check_access(hub);
}

void watch_flush(struct watch_hub *hub, const struct change_batch *batch)
{
    if (batch->count == 0)
        return;
    changes_settle(&hub->log, batch, now_ms(hub));
    pump_all(hub);
    if (changes_has_late(&hub->log) && !timer_is_armed(&hub->late))
        timer_start(&hub->late, CHANGES_QUIET_MS);
}

/* ---- watchers ---- */

static void on_drain(struct http_exchange *ex, void *ctx)
{
    struct watcher *watcher = ctx;
    watcher->is_full = false;
    pump(watcher);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct watcher *watcher = ctx;
    watcher->hub->count--;
    list_remove(&watcher->node);
    watcher->ops->on_close(watcher->ctx);
    free(watcher);
}

static const struct http_exchange_ops exchange_ops = {
    .on_end = on_end, .on_drain = on_drain, .on_close = on_close};

static int check_caps(const struct watch_hub *hub, int64_t user_id, struct err *err)
{
    unsigned own = 0;
    LIST_FOR_EACH(struct watcher, watcher, &hub->watchers, node)
        own += watcher->user_id == user_id;
    if (own >= WATCHERS_PER_USER_MAX)
        return err_set(err, ERR_UNAVAILABLE, "a user has at most %d streams of changes open",
                       WATCHERS_PER_USER_MAX);
    if (hub->count >= WATCHERS_MAX)
        return err_set(err, ERR_UNAVAILABLE,
                       "there are %d streams of changes open, more are not "
                       "served; try again later",
                       WATCHERS_MAX);
    return 0;
}

static void start_reply(struct http_exchange *ex)
{
    const struct http_header headers[] = {{STR("Content-Type"), STR("text/event-stream")},
                                          {STR("Cache-Control"), STR("no-store")}};
    http_reply_set_high_water(ex, WATCH_QUEUE_MAX);
    http_reply_start(ex, 200, headers, ARRAY_LEN(headers), -1);
}

int watch_open(struct watch_hub *hub, struct http_exchange *ex, const struct watch_params *params,
               struct err *err)
{
    int rc = check_caps(hub, params->user_id, err);
    if (rc < 0)
        return rc;
    struct watcher *watcher = mem_alloc(sizeof *watcher);
    *watcher = (struct watcher){
        .hub = hub,
        .ex = ex,
        .ops = params->ops,
        .ctx = params->ctx,
        .user_id = params->user_id,
        .kinds = params->kinds,
        .can_reset = params->can_reset,
    };
    list_add_tail(&hub->watchers, &watcher->node);
    hub->count++;
    http_exchange_set_ops(ex, &exchange_ops, watcher);
    start_reply(ex);
    struct buf text = {0};
    if (params->since && changes_knows(&hub->log, params->since)) {
        watcher->seq = params->since;
        write_news(watcher, NEWS_RESUME, &text);
    } else {
        reset(watcher, &text);
    }
    send(watcher, &text);
    buf_fini(&text);
    pump(watcher);
    return 0;
}

const char *watch_boot(const struct watch_hub *hub)
{
    return hub->boot;
}

unsigned watch_count(const struct watch_hub *hub)
{
    return hub->count;
}

/* ---- life ---- */

struct watch_hub *watch_hub_new(struct control *control)
{
    struct watch_hub *hub = mem_alloc(sizeof *hub);
    hub->control = control;
    hub->boot = random_hex(4);
    list_init(&hub->watchers);
    changes_init(&hub->log, control_cluster(control));
    timer_init(&hub->late, control_loop(control), on_late, hub);
    timer_init(&hub->heartbeat, control_loop(control), on_heartbeat, hub);
    timer_start(&hub->heartbeat, WATCH_HEARTBEAT_MS);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    if (!hub)
        return;
    assert(list_is_empty(&hub->watchers));
    timer_stop(&hub->heartbeat);
    timer_stop(&hub->late);
    changes_fini(&hub->log);
    free(hub->boot);
    free(hub);
}
