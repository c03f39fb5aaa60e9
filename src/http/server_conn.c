/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "http/server_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* ---- phases ---- */

void server_conn_enter(struct server_conn *c, enum conn_phase phase)
{
    static const unsigned allowed[] = {
        [CONN_HELLO] = 1 << CONN_QUEUED | 1 << CONN_FLUSH | 1 << CONN_DEAD,
        [CONN_QUEUED] = 1 << CONN_HANDSHAKE | 1 << CONN_DEAD,
        [CONN_HANDSHAKE] = 1 << CONN_HEAD | 1 << CONN_DEAD,
        [CONN_HEAD] = 1 << CONN_EXCHANGE | 1 << CONN_FLUSH | 1 << CONN_DEAD,
        [CONN_EXCHANGE] = 1 << CONN_HEAD | 1 << CONN_DISCARD | 1 << CONN_FLUSH | 1 << CONN_DEAD,
        [CONN_DISCARD] = 1 << CONN_HEAD | 1 << CONN_FLUSH | 1 << CONN_DEAD,
        [CONN_FLUSH] = 1 << CONN_LINGER | 1 << CONN_DEAD,
        [CONN_LINGER] = 1 << CONN_DEAD,
        [CONN_DEAD] = 0,
    };
    assert(allowed[c->phase] & 1U << phase);
    c->phase = phase;
    server_conn_restart_wait(c);
}

void server_conn_restart_wait(struct server_conn *c)
{
    c->since_ms = loop_now_ms(c->server->loop);
    c->progress = 0;
}

void server_conn_progress(struct server_conn *c, size_t bytes)
{
    if (bytes >= HTTP_PROGRESS_MIN - c->progress)
        server_conn_restart_wait(c);
    else
        c->progress += (unsigned)bytes;
}

static void enter_head(struct server_conn *c)
{
    server_conn_enter(c, CONN_HEAD);
    c->parse_due = c->in.len > 0;
    if (c->in.len == 0)
        server_buf_give(c->server, &c->in);
    server_buf_give(c->server, &c->out);
}

/* "Bad Request" -> "BadRequest" */
static void add_reason(struct buf *out, unsigned status)
{
    for (const char *s = http_status_text(status); *s; s++)
        if (*s != ' ')
            buf_add_char(out, *s);
}

void server_conn_refuse(struct server_conn *c, unsigned status, const char *message)
{
    struct buf body = {0};
    struct buf reason = {0};
    add_reason(&reason, status);
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_int(&w, "code", status);
    json_put_string(&w, "reason", reason.ptr);
    json_put_string(&w, "message", message);
    json_end_object(&w);

    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    const struct reply_head head = {.status = status,
                                    .headers = &type,
                                    .count = 1,
                                    .coding = REPLY_LENGTH,
                                    .content_length = (int64_t)body.len,
                                    .close = true};
    reply_head_write(c->server, &head, &c->out);
    buf_add_str(&c->out, buf_str(&body));
    buf_fini(&body);
    buf_fini(&reason);
    buf_fini(&c->in);
    c->unread = true;
    server_conn_enter(c, CONN_FLUSH);
}

static void end_exchange(struct server_conn *c, bool gone)
{
    struct http_exchange *ex = TAKE(c->ex);
    c->server->active--;
    ex->closed = true;
    if (ex->ops.on_close)
        ex->ops.on_close(ex, gone, ex->ctx);
    server_exchange_free(ex);
}

/* ---- the request's head ---- */

static unsigned refusal_status(int code)
{
    switch (code) {
    case ERR_TOO_LARGE:
        return 431;
    case -ENOSYS:
        return 501;
    case -EPROTONOSUPPORT:
        return 505;
    default:
        return 400;
    }
}

/*
 * Hands the request to the handler. The exchange takes the buffer that its head borrows from; what
 * is behind the head's `size` bytes stays with the connection.
 */
static void start_exchange(struct server_conn *c, struct http_exchange *ex, size_t size)
{
    const struct http_request_head *head = ex->head;
    ex->method = head->method;
    ex->minor = head->minor;
    ex->wants_keep_alive = head->keep_alive;
    ex->text = c->in;
    c->in = (struct buf){0};
    struct str rest = str_skip(buf_str(&ex->text), size);
    if (rest.len) {
        server_buf_take(c->server, &c->in);
        buf_add_str(&c->in, rest);
    }
    c->body = head->body;
    if (head->body == HTTP_BODY_LENGTH && head->content_length == 0)
        c->body = HTTP_BODY_NONE;
    c->body_left = head->content_length;
    c->chunked = (struct http_chunked){0};
    c->discarded = 0;
    c->continue_due = head->expect_continue && c->body != HTTP_BODY_NONE;
    c->ex = ex;
    c->server->active++;
    server_conn_enter(c, CONN_EXCHANGE);
    server_note_idle(c); /* when it idles again, it is the latest */
    c->server->on_request(ex, c->server->ctx);
}

static bool step_head(struct server_conn *c)
{
    if (c->server->draining && c->in.len == 0) {
        server_conn_enter(c, CONN_DEAD);
        return true;
    }
    if (!c->parse_due)
        return false;
    c->parse_due = false;
    struct http_exchange *ex = server_exchange_new(c);
    struct err err;
    int rc = http_parse_request(buf_str(&c->in), ex->head, &err);
    if (rc > 0) {
        start_exchange(c, ex, (size_t)rc);
        return true;
    }
    server_exchange_free(ex);
    if (rc < 0)
        server_conn_refuse(c, refusal_status(rc), err.text);
    return rc < 0;
}

/* ---- the request's body ---- */

/* Takes the next run of payload from the front of `*data`; notes when the body is complete. */
static int take_body(struct server_conn *c, struct str *data, struct str *ret, struct err *err)
{
    if (c->body == HTTP_BODY_CHUNKED) {
        int rc = http_chunked_decode(&c->chunked, data, ret, err);
        if (rc == 1)
            c->body = HTTP_BODY_NONE;
        return rc < 0 ? rc : 0;
    }
    *ret = str_sub(data->ptr, data->len < c->body_left ? data->len : (size_t)c->body_left);
    *data = str_skip(*data, ret->len);
    c->body_left -= ret->len;
    if (c->body_left == 0)
        c->body = HTTP_BODY_NONE;
    return 0;
}

static bool is_discarding(const struct server_conn *c)
{
    return !c->ex || c->ex->reply_ended;
}

static bool takes_body(const struct server_conn *c)
{
    return c->body != HTTP_BODY_NONE && !c->failed && (is_discarding(c) || !c->ex->paused);
}

static void pass_body(struct server_conn *c, struct str payload)
{
    struct http_exchange *ex = c->ex;
    if (is_discarding(c))
        c->discarded += payload.len;
    else if (payload.len && ex->ops.on_body)
        ex->ops.on_body(ex, payload, ex->ctx);
}

/* Where the next request would begin isn't known: this one is the last. */
static void refuse_body(struct server_conn *c, const char *text)
{
    struct http_exchange *ex = c->ex;
    if (!ex || ex->reply_started) {
        c->failed = true;
    } else if (!ex->ops.on_bad_body) {
        end_exchange(c, true);
        server_conn_refuse(c, 400, text);
    } else {
        c->body = HTTP_BODY_NONE;
        c->unread = true;
        ex->end_told = true;
        ex->wants_keep_alive = false;
        ex->ops.on_bad_body(ex, text, ex->ctx);
    }
}

/* Passes on what has come of the body. */
static void feed_body(struct server_conn *c)
{
    struct str rest = buf_str(&c->in);
    struct err err;
    int rc = 0;
    while (rc == 0 && rest.len && takes_body(c)) {
        struct str payload;
        rc = take_body(c, &rest, &payload, &err);
        if (rc == 0)
            pass_body(c, payload);
    }
    buf_drop(&c->in, c->in.len - rest.len);
    if (c->body == HTTP_BODY_NONE && c->in.len == 0)
        server_buf_give(c->server, &c->in);
    if (rc < 0)
        refuse_body(c, err.text);
}

/* Tells the client to send the body, once the handler takes it and none has come. */
static void send_continue(struct server_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    c->continue_due = false;
    if (c->in.len == 0)
        buf_add_cstr(&c->out, text);
}

/* ---- the exchange ---- */

/* The response is out: the connection serves the next request, or ends. Draining is seen there. */
static void after_exchange(struct server_conn *c, bool keep_alive)
{
    if (!keep_alive) {
        c->unread = c->unread || c->body != HTTP_BODY_NONE || c->in.len > 0;
        server_conn_enter(c, CONN_FLUSH);
    } else if (c->body != HTTP_BODY_NONE) {
        server_conn_enter(c, CONN_DISCARD);
    } else {
        enter_head(c);
    }
}

/* One callback or change of phase that is due in an exchange; false when there is none. */
static bool step_exchange(struct server_conn *c)
{
    struct http_exchange *ex = c->ex;
    if (ex->reply_ended && server_conn_queued(c) == 0) {
        bool keep_alive = ex->keep_alive;
        end_exchange(c, false);
        after_exchange(c, keep_alive);
        return true;
    }
    if (c->continue_due && !ex->paused && !ex->reply_started) {
        send_continue(c);
        return true;
    }
    if (c->in.len && takes_body(c) && c->discarded <= CONN_DISCARD_MAX) {
        feed_body(c);
        return true;
    }
    if (c->body == HTTP_BODY_NONE && !ex->paused && !ex->reply_ended && !ex->end_told) {
        ex->end_told = true;
        if (ex->ops.on_end)
            ex->ops.on_end(ex, ex->ctx);
        return true;
    }
    if (ex->above_high && server_conn_queued(c) < ex->high_water / 4) {
        ex->above_high = false;
        if (ex->ops.on_drain && !ex->reply_ended)
            ex->ops.on_drain(ex, ex->ctx);
        return true;
    }
    return false;
}

/* ---- after the last exchange ---- */

static bool step_discard(struct server_conn *c)
{
    if (c->discarded > CONN_DISCARD_MAX) {
        c->unread = true;
        server_conn_enter(c, CONN_FLUSH);
        return true;
    }
    if (c->body == HTTP_BODY_NONE) {
        enter_head(c);
        return true;
    }
    if (c->in.len == 0)
        return false;
    feed_body(c);
    return true;
}

static bool step_flush(struct server_conn *c)
{
    if (server_conn_queued(c) > 0)
        return false;
    if (!c->unread) {
        server_conn_enter(c, CONN_DEAD);
        return true;
    }
    /* Closing with unread input sends a reset, which can overtake the reply, or end a client that
     * still writes and doesn't look for a reply before it is through. */
    stream_shutdown(c->stream);
    c->discarded = 0;
    server_conn_enter(c, CONN_LINGER);
    return true;
}

static bool step_linger(struct server_conn *c)
{
    c->discarded += c->in.len;
    buf_clear(&c->in);
    if (c->discarded <= CONN_LINGER_MAX)
        return false;
    server_conn_enter(c, CONN_DEAD);
    return true;
}

static bool step(struct server_conn *c)
{
    if (c->phase != CONN_DEAD && c->failed) {
        if (c->ex)
            end_exchange(c, true);
        if (c->phase < CONN_HEAD)
            server_tls_leave(c);
        server_conn_enter(c, CONN_DEAD);
    }
    if (c->phase != CONN_DEAD && !c->blocked && server_conn_queued(c) > 0) {
        server_conn_send(c, NULL, 0);
        return true;
    }
    switch (c->phase) {
    case CONN_HELLO:
    case CONN_QUEUED:
    case CONN_HANDSHAKE:
        return false;
    case CONN_HEAD:
        return step_head(c);
    case CONN_EXCHANGE:
        return step_exchange(c);
    case CONN_DISCARD:
        return step_discard(c);
    case CONN_FLUSH:
        return step_flush(c);
    case CONN_LINGER:
        return step_linger(c);
    case CONN_DEAD:
        break;
    }
    return false;
}

/* ---- what the connection waits for ---- */

static bool wants_input(const struct server_conn *c)
{
    if (c->phase != CONN_EXCHANGE)
        return c->phase != CONN_FLUSH && c->phase != CONN_QUEUED;
    if (c->body == HTTP_BODY_NONE)
        return c->in.len < CONN_PIPELINE_MAX;
    return takes_body(c) && c->discarded <= CONN_DISCARD_MAX;
}

/* Time at which the wait has lasted too long, or INT64_MAX. */
static int64_t deadline(const struct server_conn *c)
{
    switch (c->phase) {
    case CONN_HELLO:
    case CONN_HANDSHAKE:
        return c->since_ms + HTTP_HANDSHAKE_TIMEOUT_MS;
    case CONN_QUEUED:
        return INT64_MAX;
    case CONN_HEAD:
        return c->since_ms + (c->in.len ? HTTP_HEAD_TIMEOUT_MS : HTTP_IDLE_TIMEOUT_MS);
    case CONN_EXCHANGE:
        if (server_conn_queued(c) == 0 && !takes_body(c))
            return INT64_MAX;
        return c->since_ms + HTTP_BODY_STALL_MS;
    case CONN_DISCARD:
    case CONN_FLUSH:
        return c->since_ms + HTTP_BODY_STALL_MS;
    case CONN_LINGER:
        return c->since_ms + CONN_LINGER_MS;
    case CONN_DEAD:
        break;
    }
    return INT64_MAX;
}

/* The timer is only moved to an earlier time; when it fires too early it is set again. */
static void update_timer(struct server_conn *c)
{
    int64_t due = deadline(c);
    if (due == INT64_MAX || (timer_is_armed(&c->timer) && c->timer.due_ms <= due))
        return;
    int64_t delay = due - loop_now_ms(c->server->loop);
    timer_start(&c->timer, delay > 0 ? delay : 0);
}

static void conn_free(struct server_conn *c)
{
    list_remove(&c->node);
    list_remove(&c->touched);
    server_note_idle(c);
    server_count_conn(c->server, -1);
    timer_stop(&c->timer);
    if (c->reset)
        stream_reset(c->stream);
    else
        stream_free(c->stream);
    server_buf_give(c->server, &c->in);
    server_buf_give(c->server, &c->out);
    server_on_conn_closed(c->server);
    free(c);
}

void server_conn_settle(struct server_conn *c)
{
    list_remove(&c->touched);
    c->settling = true;
    while (step(c))
        ;
    c->settling = false;
    if (c->phase == CONN_DEAD) {
        conn_free(c);
        return;
    }
    stream_want(c->stream, (wants_input(c) ? WATCH_READ : WATCH_HANGUP) |
                               (server_conn_queued(c) ? WATCH_WRITE : 0U));
    update_timer(c);
    server_note_idle(c);
}

void server_conn_fail(struct server_conn *c)
{
    c->failed = true;
    server_conn_touch(c);
}

/* ---- events ---- */

static void read_input(struct server_conn *c)
{
    bool is_head = c->phase == CONN_HEAD;
    bool is_body = c->body != HTTP_BODY_NONE;
    size_t want = is_body ? CONN_READ_BODY : CONN_READ_HEAD;
    server_buf_take(c->server, &c->in);
    char *at = buf_reserve(&c->in, want);
    ssize_t n = stream_read(c->stream, at, want);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        c->failed = true;
        return;
    }
    if (is_body && c->phase != CONN_LINGER)
        server_conn_progress(c, (size_t)n);
    else if (is_head && c->in.len == 0)
        server_conn_restart_wait(c);
    buf_grew(&c->in, (size_t)n);
    if (is_head)
        c->parse_due |= memchr(at, '\n', (size_t)n) || c->in.len >= HTTP_HEAD_MAX;
}

static void on_readable(struct server_conn *c)
{
    if (c->phase == CONN_HELLO)
        server_tls_on_hello(c);
    else if (c->phase == CONN_HANDSHAKE)
        server_tls_step(c);
    else
        read_input(c);
}

static void on_event(struct stream *stream, unsigned events, void *ctx)
{
    struct server_conn *c = ctx;
    if (events & WATCH_WRITE)
        c->blocked = false;
    if (wants_input(c)) {
        if (events & (WATCH_READ | WATCH_HANGUP))
            on_readable(c);
    } else if (events & (WATCH_READ | WATCH_HANGUP)) {
        /* Nothing is read now, so this is the client's end or an error. */
        c->failed = true;
    }
    server_conn_settle(c);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct server_conn *c = ctx;
    if (deadline(c) <= loop_now_ms(c->server->loop)) {
        if (c->phase == CONN_HEAD && c->in.len)
            server_conn_refuse(c, 408, "the request's head did not come in time");
        else
            c->failed = true;
    }
    server_conn_settle(c);
}

void server_conn_new(struct http_server *server, int fd, const char *peer, int64_t peer_uid)
{
    struct server_conn *c = mem_alloc(sizeof(*c));
    c->server = server;
    c->peer_uid = peer_uid;
    snprintf(c->peer, sizeof(c->peer), "%s", peer);
    c->stream = stream_from_fd(server->loop, fd, on_event, c);
    timer_init(&c->timer, server->loop, on_timer, c);
    c->since_ms = loop_now_ms(server->loop);
    c->phase = server->certificate && strcmp(peer, "unix") != 0 ? CONN_HELLO : CONN_HEAD;
    list_add_tail(&server->conns, &c->node);
    server_count_conn(server, +1);
    server_conn_settle(c);
}
