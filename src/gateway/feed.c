/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/feed.h"

#include "base/file.h"
#include "base/log.h"
#include "gateway/state_file.h"
#include "gateway/tables.h"
#include "http/lines.h"

#include <errno.h>

enum { TOKEN_MAX = 1024 };

struct feed {
    struct feed_params params;  /* but for its strings, which are these: */
    char *token;                /* owned; NULL: read from token_path; secret */
    char *token_path;           /* owned */
    struct line_stream *stream; /* NULL while the reopen timer runs */
    struct timer publish_timer; /* armed: changes wait for the end of their batch */
    struct timer reopen_timer;
    int64_t reopen_ms;    /* next pause */
    int64_t published_ms; /* loop time of the last snapshot */
    struct tables tables;
    struct state_file *state;       /* NULL: none is kept */
    char identity[AUTH_DIGEST_HEX]; /* of the stream's token, for the state */
    struct snapshot *latest; /* NULL until the first */
    bool is_connected;
    bool has_fault;      /* this stream had a bad line */
    bool has_complained; /* the present trouble was logged */
};

static void set_connected(struct feed *feed, bool is_connected)
{
    if (feed->is_connected == is_connected)
        return;
    feed->is_connected = is_connected;
    feed->params.on_connected(feed, is_connected, feed->params.ctx);
}

/* Logs the first of a row of failures; the row ends when the feed is whole again. */
static void complain(struct feed *feed, const char *text)
{
    if (feed->has_complained)
        return;
    feed->has_complained = true;
    log_warning("feed", "control can't be followed: %s; %s", text,
                feed->latest ? "serving with the last known state" : "nothing is served yet");
}

static void reopen_later(struct feed *feed)
{
    timer_start(&feed->reopen_timer, feed->reopen_ms);
    feed->reopen_ms *= 2;
    if (feed->reopen_ms > FEED_REOPEN_MAX_MS)
        feed->reopen_ms = FEED_REOPEN_MAX_MS;
}

static void publish(struct timer *timer, void *ctx)
{
    struct feed *feed = ctx;
    (void)timer;
    struct snapshot *fresh = snapshot_build(feed->tables.kinds, feed->tables.dirty, feed->latest);
    tables_clean(&feed->tables);
    log_debug("feed", "a new snapshot seq=%lld", (long long)feed->tables.seq);
    snapshot_unref(feed->latest);
    feed->latest = fresh;
    feed->published_ms = loop_now_ms(feed->params.loop);
    feed->params.on_snapshot(feed, fresh, feed->params.ctx);
}

static void on_open(struct line_stream *stream, void *ctx)
{
    struct feed *feed = ctx;
    (void)stream;
    timer_stop(&feed->publish_timer);
    timer_stop(&feed->reopen_timer);
    tables_clear(&feed->tables);
    feed->has_fault = false;
    if (feed->state)
        state_file_begin(feed->state, feed->identity);
}

static void on_fault(struct feed *feed, const char *text)
{
    if (feed->has_fault)
        return;
    feed->has_fault = true;
    log_warning("feed", "a line was passed over: %s; the feed will be opened anew", text);
    reopen_later(feed);
}

static void on_ready(struct feed *feed)
{
    log_info("feed", "following control seq=%lld", (long long)feed->tables.seq);
    feed->has_complained = false;
    set_connected(feed, true);
    if (!feed->has_fault)
        feed->reopen_ms = FEED_REOPEN_MIN_MS;
    if (feed->state)
        state_file_ready(feed->state);
}

/*
 * A lone change is published at once, so that who has just made a key can use it; what follows
 * within FEED_BATCH_MS makes one more snapshot.
 */
static void publish_soon(struct feed *feed)
{
    if (timer_is_armed(&feed->publish_timer))
        return;
    int64_t wait_ms = feed->published_ms + FEED_BATCH_MS - loop_now_ms(feed->params.loop);
    timer_start(&feed->publish_timer, wait_ms > 0 ? wait_ms : 0);
}

static void on_line(struct line_stream *stream, struct str line, void *ctx)
{
    struct feed *feed = ctx;
    struct err err = {0};
    bool was_ready = feed->tables.is_ready;
    (void)stream;
    if (tables_apply(&feed->tables, line, &err) < 0)
        on_fault(feed, err.text);
    else if (feed->state)
        state_file_add(feed->state, line);
    if (feed->tables.is_ready && !was_ready)
        on_ready(feed);
    bool is_due = feed->tables.is_ready && tables_is_dirty(&feed->tables);
    if (is_due)
        publish_soon(feed);
    else
        timer_stop(&feed->publish_timer);
}

/* The stream opens itself again, but for a refused token: that is read again for a fresh stream. */
static void on_break(struct line_stream *stream, unsigned status, const char *text, void *ctx)
{
    struct feed *feed = ctx;
    set_connected(feed, false);
    complain(feed, text);
    if (status != 401 && status != 403)
        return;
    line_stream_free(stream);
    feed->stream = NULL;
    reopen_later(feed);
}

int feed_read_token(const struct feed *feed, char **ret, struct err *err)
{
    if (feed->token) {
        *ret = mem_strdup(feed->token);
        return 0;
    }
    return file_read_line(feed->token_path, TOKEN_MAX, ret, err);
}

static void open_stream(struct feed *feed)
{
    struct err err = {0};
    char *token = NULL;
    if (feed_read_token(feed, &token, &err) < 0) {
        complain(feed, err.text);
        reopen_later(feed);
        return;
    }
    state_file_identity(&feed->params.control, token, feed->identity);
    feed->stream = line_stream_new(&(struct line_stream_params){
        .pool = feed->params.pool,
        .target = feed->params.control,
        .path = "/v2/gateway-feed",
        .bearer = token,
        .on_open = on_open,
        .on_line = on_line,
        .on_break = on_break,
        .ctx = feed,
    });
    mem_free_secret(token);
}

static void reopen(struct timer *timer, void *ctx)
{
    struct feed *feed = ctx;
    (void)timer;
    line_stream_free(feed->stream);
    feed->stream = NULL;
    open_stream(feed);
}

/* ---- the state that is kept ---- */

/* A stream that follows is opened anew; one that doesn't brings a snapshot by itself. */
static void on_stale(void *ctx)
{
    struct feed *feed = ctx;
    if (feed->is_connected)
        reopen(&feed->reopen_timer, feed);
}

static int load_state(struct feed *feed, int64_t *ret_changed_ms, struct err *err)
{
    char *token = NULL;
    int rc = feed_read_token(feed, &token, err);
    if (rc < 0)
        return rc;
    state_file_identity(&feed->params.control, token, feed->identity);
    mem_free_secret(token);
    return state_file_load(feed->params.state_path, feed->identity, &feed->tables, ret_changed_ms,
                           err);
}

/* The tables are as after a "ready"; the first stream that opens empties them. */
static void start_with_state(struct feed *feed)
{
    int64_t changed_ms = 0;
    struct err err = {0};
    int rc = load_state(feed, &changed_ms, &err);
    if (rc < 0) {
        if (rc != -ENOENT)
            log_warning("feed", "the state that was kept can't be used: %s", err.text);
        return;
    }
    int64_t age_s = (clock_wall_ms(loop_clock(feed->params.loop)) - changed_ms) / 1000;
    log_info("feed", "serving with the state on disk, last changed %lld s ago, until control is "
                     "reached",
             (long long)(age_s > 0 ? age_s : 0));
}

static void keep_state(struct feed *feed)
{
    start_with_state(feed);
    feed->state = state_file_new(&(struct state_file_params){.loop = feed->params.loop,
                                                             .path = feed->params.state_path,
                                                             .on_stale = on_stale,
                                                             .ctx = feed});
}

struct feed *feed_new(const struct feed_params *params)
{
    struct feed *feed = mem_alloc(sizeof *feed);
    feed->params = *params;
    feed->token = mem_strdup(params->token);
    feed->token_path = mem_strdup(params->token_path);
    if (params->gateway)
        limit_book_set_gateway(&feed->tables.limits, params->gateway);
    feed->reopen_ms = FEED_REOPEN_MIN_MS;
    timer_init(&feed->publish_timer, params->loop, publish, feed);
    timer_init(&feed->reopen_timer, params->loop, reopen, feed);
    if (params->state_path)
        keep_state(feed);
    open_stream(feed);
    return feed;
}

void feed_publish_kept(struct feed *feed)
{
    if (feed->tables.is_ready)
        publish(&feed->publish_timer, feed);
}

struct limit_book *feed_limits(struct feed *feed)
{
    return &feed->tables.limits;
}

int64_t feed_seq(const struct feed *feed)
{
    return feed->tables.seq;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    line_stream_free(feed->stream);
    timer_stop(&feed->publish_timer);
    timer_stop(&feed->reopen_timer);
    state_file_free(feed->state);
    tables_fini(&feed->tables);
    snapshot_unref(feed->latest);
    mem_free_secret(feed->token);
    free(feed->token_path);
    free(feed);
}
