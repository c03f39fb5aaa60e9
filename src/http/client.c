/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include "http/client_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum {
    HEAD_STEP = 4096, /* bytes that are looked at at a time while the head isn't complete */
    INTERIM_MAX = 16, /* 1xx responses before the real one */
    SEND_LOW_WATER = 64 << 10, /* at or below, on_drain() comes */
    STALE_MS = 250, /* behind the last write: within it a kept connection's end came by itself */
    SPARE_HEAD_MAX = 8 << 10,  /* bytes of room for a head that are kept for the next */
};

/* ---- states and the end ---- */

static bool is_edge(enum call_state from, enum call_state to)
{
    switch (to) {
    case CALL_CONNECT:
        return from == CALL_HEAD; /* once more */
    case CALL_HEAD:
        return from == CALL_CONNECT;
    case CALL_BODY:
        return from == CALL_HEAD;
    case CALL_DEAD:
        return from != CALL_DEAD;
    }
    return false;
}

static void set_state(struct http_call *call, enum call_state state)
{
    assert(is_edge(call->state, state));
    call->state = state;
}

static void release(void *arg)
{
    struct http_call *call = arg;
    request_out_fini(&call->out);
    buf_fini(&call->held);
    free(call->refused);
    http_pool_free_call(call);
}

/*
 * The call has ended; its memory stays for the callbacks that are on the stack. A connection that
 * it still has is in the middle of an exchange and is reset: an end would wait in the kernel behind
 * what the peer hasn't read of the request, and a peer that doesn't read would go on for nobody.
 */
static void end(struct http_call *call)
{
    set_state(call, CALL_DEAD);
    list_remove(&call->node);
    timer_stop(&call->timer);
    timer_stop(&call->kick);
    stream_reset(TAKE(call->stream));
    http_pool_leave(call->pool, TAKE(call->group));
    loop_defer(call->pool->loop, release, call);
}

static void fail(struct http_call *call, int code, const char *text)
{
    end(call);
    call->ops->on_error(call, code, text, call->ctx);
}

static void fail_at_target(struct http_call *call, int code, const char *what)
{
    char target[HTTP_TARGET_TEXT_MAX];
    http_target_text(call->target, target);
    struct err err;
    err_set(&err, code, "%s %s", target, what);
    fail(call, code, err.text);
}

static void complete(struct http_call *call, size_t surplus)
{
    bool is_sent = request_out_is_done(&call->out);
    struct stream *stream = is_sent ? TAKE(call->stream) : NULL;
    if (is_sent && call->keep_alive && surplus == 0 && !call->is_last)
        http_pool_keep(call->pool, call->group, stream);
    else
        stream_free(stream);
    end(call);
    call->ops->on_end(call, call->ctx);
}

/* ---- timeouts ---- */

/*
 * The wait that begins now may last so long. Each piece of a stream begins another one, so the
 * timer is only moved to an earlier time; when it fires too early, it is set again.
 */
static void begin_wait(struct http_call *call, int64_t timeout_ms)
{
    call->deadline_ms = loop_now_ms(call->pool->loop) + timeout_ms;
    if (!timer_is_armed(&call->timer) || call->timer.due_ms > call->deadline_ms)
        timer_start(&call->timer, timeout_ms);
}

/* The peer owes the next step while it has something to take or the whole request. */
static void arm_head_timer(struct http_call *call)
{
    bool is_owed = request_out_waiting(&call->out) > 0 || call->out.is_finished;
    if (call->head_timeout_ms > 0 && is_owed)
        begin_wait(call, call->head_timeout_ms);
    else
        timer_stop(&call->timer);
}

static void arm_idle_timer(struct http_call *call)
{
    if (call->idle_timeout_ms > 0 && !call->is_paused)
        begin_wait(call, call->idle_timeout_ms);
    else
        timer_stop(&call->timer);
}

static void on_timeout(struct timer *timer, void *ctx)
{
    struct http_call *call = ctx;
    int64_t left_ms = call->deadline_ms - loop_now_ms(call->pool->loop);
    if (left_ms > 0) {
        timer_start(timer, left_ms);
        return;
    }
    bool is_head = call->state == CALL_HEAD;
    struct err what;
    err_set(&what, ERR_TIMEOUT,
            is_head ? "gave no response within %lld ms" : "sent nothing for %lld ms",
            (long long)(is_head ? call->head_timeout_ms : call->idle_timeout_ms));
    fail_at_target(call, ERR_TIMEOUT, what.text);
}

/* ---- the request ---- */

static void update_interest(struct http_call *call)
{
    if (call->state != CALL_HEAD && call->state != CALL_BODY)
        return;
    bool reads = call->state == CALL_HEAD || (!call->is_paused && call->held.len == 0);
    bool writes = request_out_waiting(&call->out) > 0;
    stream_want(call->stream,
                (reads ? (unsigned)WATCH_READ : 0) | (writes ? (unsigned)WATCH_WRITE : 0));
}

/* Never calls back: errors show when the response is read. */
static void send_more(struct http_call *call)
{
    bool has_progress = request_out_flush(&call->out, call->stream);
    if (has_progress)
        call->written_ms = loop_now_ms(call->pool->loop);
    if (call->state == CALL_HEAD && (has_progress || !timer_is_armed(&call->timer)))
        arm_head_timer(call);
    update_interest(call);
}

static void begin_exchange(struct http_call *call)
{
    set_state(call, CALL_HEAD);
    call->was_connected = true;
    call->written_ms = loop_now_ms(call->pool->loop); /* also when no byte can be */
    send_more(call);
}

/* ---- the response's body ---- */

/* Takes the next run of the body from `*data`. 1 at the body's end, 0 to go on, or an error. */
static int next_run(struct http_call *call, struct str *data, struct str *ret, struct err *err)
{
    *ret = (struct str){0};
    switch (call->body) {
    case HTTP_BODY_NONE:
        return 1;
    case HTTP_BODY_LENGTH:
        if (call->left == 0)
            return 1;
        *ret = str_sub(data->ptr, data->len < call->left ? data->len : (size_t)call->left);
        *data = str_skip(*data, ret->len);
        call->left -= ret->len;
        return 0;
    case HTTP_BODY_CHUNKED:
        return http_chunked_decode(&call->chunked, data, ret, err);
    case HTTP_BODY_TO_CLOSE:
        *ret = *data;
        *data = (struct str){0};
        return 0;
    }
    return 0;
}

static void fail_protocol(struct http_call *call, struct err *err)
{
    char what[sizeof err->text + 32];
    snprintf(what, sizeof what, "sent a broken response: %s", err->text);
    fail_at_target(call, ERR_PROTOCOL, what);
}

/* Delivers the body as far as it goes; what comes while the owner pauses is held back. */
static void take_body(struct http_call *call, struct str data)
{
    while (!(call->is_paused && data.len)) {
        struct str run;
        struct err err;
        int rc = next_run(call, &data, &run, &err);
        if (rc < 0) {
            fail_protocol(call, &err);
            return;
        }
        if (rc > 0) {
            complete(call, data.len);
            return;
        }
        if (run.len == 0)
            return;
        if (call->ops->on_body)
            call->ops->on_body(call, run, call->ctx);
        if (call->state == CALL_DEAD)
            return;
    }
    buf_add_str(&call->held, data);
}

/* ---- the response's head ---- */

/* 1xx: dropped, another head follows. 0, or an error. */
static int drop_interim(struct http_call *call, struct err *err)
{
    enum { SWITCHING_PROTOCOLS = 101 };
    if (call->pool->head.status == SWITCHING_PROTOCOLS)
        return err_set(err, ERR_PROTOCOL, "status 101 without having been asked");
    if (++call->interim_count > INTERIM_MAX)
        return err_set(err, ERR_PROTOCOL, "more than %d interim responses", INTERIM_MAX);
    buf_clear(&call->head_text);
    return 0;
}

/*
 * Collects the head from the front of `*data`. 1 when it is complete, 0 when more is needed, or an
 * error.
 */
static int collect_head(struct http_call *call, struct str *data, struct err *err)
{
    struct http_response_head *head = &call->pool->head;
    if (call->head_text.cap == 0)
        SWAP(call->head_text, call->pool->spare_head_text);
    while (data->len) {
        size_t before = call->head_text.len;
        size_t piece = data->len < HEAD_STEP ? data->len : HEAD_STEP;
        buf_add(&call->head_text, data->ptr, piece);
        int rc = http_parse_response(buf_str(&call->head_text), call->method == HTTP_HEAD, head,
                                     err);
        if (rc < 0)
            return rc;
        *data = str_skip(*data, rc > 0 ? (size_t)rc - before : piece);
        if (rc > 0 && head->status >= 200)
            return 1;
        if (rc > 0)
            rc = drop_interim(call, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What the head's text took is the next one's; a live response needs neither. */
static void drop_head(struct http_call *call)
{
    buf_clear(&call->head_text);
    if (call->pool->spare_head_text.cap == 0 && call->head_text.cap <= SPARE_HEAD_MAX)
        SWAP(call->head_text, call->pool->spare_head_text);
    buf_fini(&call->head_text);
    request_out_shrink(&call->out);
}

static void begin_body(struct http_call *call)
{
    const struct http_response_head *head = &call->pool->head;
    set_state(call, CALL_BODY);
    call->body = head->body;
    call->keep_alive = head->keep_alive;
    call->left = head->content_length;
    arm_idle_timer(call);
    if (call->ops->on_head)
        call->ops->on_head(call, head, call->ctx);
    if (call->state != CALL_DEAD)
        drop_head(call);
}

static void take_input(struct http_call *call, struct str data)
{
    struct err err;
    int rc = call->state == CALL_HEAD ? collect_head(call, &data, &err) : 0;
    if (rc < 0) {
        fail_protocol(call, &err);
        return;
    }
    if (rc > 0)
        begin_body(call);
    if (call->state == CALL_BODY)
        take_body(call, data);
    if (call->state == CALL_BODY)
        arm_idle_timer(call);
}

/* ---- connections ---- */

static void connect_call(struct http_call *call);

/*
 * A kept connection may have been closed while the request was on its way: nobody's fault. That
 * shows within a round trip; who ends it later has worked on the request, and may have died of it.
 */
static bool may_retry(const struct http_call *call)
{
    return call->is_reused && call->state == CALL_HEAD && !call->out.is_streamed &&
           call->head_text.len == 0 && call->interim_count == 0 &&
           loop_now_ms(call->pool->loop) - call->written_ms <= STALE_MS;
}

static void retry(struct http_call *call)
{
    timer_stop(&call->timer);
    stream_free(TAKE(call->stream));
    request_out_rewind(&call->out);
    call->is_reused = false;
    call->was_connected = false;
    call->was_stale = true;
    set_state(call, CALL_CONNECT);
    connect_call(call);
}

/* The connection ended; `code` is 0 for a proper end or -errno. */
static void on_input_end(struct http_call *call, int code)
{
    if (code == 0 && call->state == CALL_BODY && call->body == HTTP_BODY_TO_CLOSE) {
        complete(call, 0);
        return;
    }
    if (may_retry(call)) {
        retry(call);
        return;
    }
    bool is_early = call->state == CALL_HEAD && call->head_text.len == 0;
    char what[128];
    snprintf(what, sizeof what, "closed the connection %s%s%s",
             is_early ? "without a response" : "in the middle of the response", code ? ": " : "",
             code ? strerrordesc_np(-code) : "");
    fail_at_target(call, ERR_CLOSED, what);
}

static void read_more(struct http_call *call)
{
    struct http_pool *pool = call->pool;
    if (!pool->scratch)
        pool->scratch = mem_alloc(HTTP_SCRATCH_SIZE);
    ssize_t n = stream_read(call->stream, pool->scratch, HTTP_SCRATCH_SIZE);
    if (n > 0)
        take_input(call, str_sub(pool->scratch, (size_t)n));
    else if (n != -EAGAIN)
        on_input_end(call, (int)n);
}

static void tell_drain(struct http_call *call)
{
    if (!call->owes_drain || request_out_waiting(&call->out) > SEND_LOW_WATER)
        return;
    call->owes_drain = false;
    if (call->ops->on_drain)
        call->ops->on_drain(call, call->ctx);
}

static void on_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)stream;
    struct http_call *call = ctx;
    if (events & WATCH_WRITE) {
        send_more(call);
        tell_drain(call);
    }
    if ((events & WATCH_READ) &&
        (call->state == CALL_HEAD || (call->state == CALL_BODY && !call->is_paused)))
        read_more(call);
    update_interest(call);
}

/* Whether a connection that is only kept can give its descriptor to this call. */
static bool can_make_room(const struct http_call *call, int rc)
{
    return (rc == -EMFILE || rc == -ENFILE) && http_pool_close_oldest(call->pool);
}

static void on_connect(struct stream *stream, int rc, const char *text, void *ctx)
{
    (void)stream;
    struct http_call *call = ctx;
    if (can_make_room(call, rc)) {
        stream_free(TAKE(call->stream));
        connect_call(call);
        return;
    }
    if (rc < 0) {
        fail(call, rc, text);
        return;
    }
    begin_exchange(call);
    tell_drain(call);
}

static void connect_call(struct http_call *call)
{
    const struct http_target *target = call->target;
    struct stream_address address = {
        .host = target->unix_path[0] ? NULL : target->host,
        .port = target->port,
        .unix_path = target->unix_path[0] ? target->unix_path : NULL,
        .tls = target->tls && !target->unix_path[0],
        .timeout_ms = call->connect_timeout_ms,
    };
    call->stream = stream_connect(call->pool->loop, &address, on_connect, on_event, call);
}

static void find_connection(struct http_call *call)
{
    call->stream = http_pool_take(call->pool, call->group, !call->out.is_streamed);
    if (!call->stream) {
        connect_call(call);
        return;
    }
    call->is_reused = true;
    stream_set_owner(call->stream, on_event, call);
    begin_exchange(call);
}

/* ---- calls ---- */

/* What a call of the owner's has left to do: nothing calls back from inside those. */
static void on_kick(struct timer *timer, void *ctx)
{
    (void)timer;
    struct http_call *call = ctx;
    if (call->refused) {
        fail(call, ERR_INVALID, call->refused);
        return;
    }
    struct buf held = call->held;
    call->held = (struct buf){0};
    take_body(call, buf_str(&held));
    buf_fini(&held);
    if (call->state == CALL_BODY)
        arm_idle_timer(call);
    update_interest(call);
}

struct http_call *http_call_start(struct http_pool *pool, const struct http_call_params *params,
                                  const struct http_call_ops *ops, void *ctx)
{
    struct http_call *call = http_pool_new_call(pool);
    struct err err;
    call->ops = ops;
    call->ctx = ctx;
    call->target = params->target;
    call->method = params->method;
    call->connect_timeout_ms =
        params->connect_timeout_ms ? params->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS;
    call->head_timeout_ms = params->head_timeout_ms;
    call->idle_timeout_ms = params->idle_timeout_ms;
    call->group = http_pool_join(pool, params->target);
    timer_init(&call->timer, pool->loop, on_timeout, call);
    timer_init(&call->kick, pool->loop, on_kick, call);
    if (request_out_init(&call->out, params, &err) == 0) {
        find_connection(call);
    } else {
        call->refused = mem_strdup(err.text);
        timer_start(&call->kick, 0);
    }
    return call;
}

static bool is_sending(const struct http_call *call)
{
    return call->state == CALL_HEAD || call->state == CALL_BODY;
}

size_t http_call_write(struct http_call *call, struct str data)
{
    assert(!call->out.is_finished || call->refused || call->state == CALL_DEAD);
    request_out_add(&call->out, data);
    if (is_sending(call))
        send_more(call);
    size_t waiting = request_out_waiting(&call->out);
    call->owes_drain |= waiting > 0;
    return waiting;
}

void http_call_finish(struct http_call *call)
{
    request_out_finish(&call->out);
    if (is_sending(call))
        send_more(call);
}

void http_call_pause(struct http_call *call)
{
    call->is_paused = true;
    if (call->state != CALL_BODY)
        return;
    timer_stop(&call->timer);
    timer_stop(&call->kick);
    update_interest(call);
}

void http_call_resume(struct http_call *call)
{
    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (call->state != CALL_BODY)
        return;
    arm_idle_timer(call);
    if (call->held.len)
        timer_start(&call->kick, 0);
    update_interest(call);
}

struct http_call_path http_call_path(const struct http_call *call)
{
    return (struct http_call_path){call->was_connected, call->is_reused, call->was_stale};
}

bool http_call_is_sent(const struct http_call *call)
{
    return request_out_is_done(&call->out);
}

bool http_call_awaits_body(const struct http_call *call)
{
    const struct request_out *out = &call->out;
    return out->is_streamed && !out->is_finished && !out->is_broken &&
           request_out_waiting(out) == 0;
}

void http_call_cancel(struct http_call *call)
{
    if (call && call->state != CALL_DEAD)
        end(call);
}
