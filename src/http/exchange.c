/* SPDX-License-Identifier: Apache-2.0 */
#include "http/char_priv.h"
#include "http/header_out_priv.h"
#include "http/server_priv.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum { CHUNK_LINE_MAX = 2 * sizeof(size_t) + 2 };

/* ---- the request ---- */

void http_exchange_set_ops(struct http_exchange *ex, const struct http_exchange_ops *ops, void *ctx)
{
    ex->ops = *ops;
    ex->ctx = ctx;
}

const struct http_request_head *http_exchange_head(const struct http_exchange *ex)
{
    return ex->head;
}

const char *http_exchange_peer(const struct http_exchange *ex)
{
    return ex->conn->peer;
}

bool http_exchange_is_tls(const struct http_exchange *ex)
{
    return stream_is_tls(ex->conn->stream);
}

int64_t http_exchange_peer_uid(const struct http_exchange *ex)
{
    return ex->conn->peer_uid;
}

/* The client is gone, or on_close() has been called: nothing has an effect any more. */
static bool is_over(const struct http_exchange *ex)
{
    return ex->closed || ex->conn->failed;
}

void http_exchange_pause(struct http_exchange *ex)
{
    if (is_over(ex))
        return;
    ex->paused = true;
    server_conn_touch(ex->conn);
}

void http_exchange_resume(struct http_exchange *ex)
{
    if (is_over(ex) || !ex->paused)
        return;
    ex->paused = false;
    server_conn_restart_wait(ex->conn);
    server_conn_touch(ex->conn);
}

void http_exchange_abort(struct http_exchange *ex)
{
    if (is_over(ex))
        return;
    /* What was written goes out before: a client sees what came, and that it isn't all. */
    if (server_conn_queued(ex->conn) > 0)
        server_conn_send(ex->conn, NULL, 0);
    /* Only a body that ends with the connection needs the reset to look incomplete. */
    ex->conn->reset = ex->reply_started && ex->coding == REPLY_TO_CLOSE;
    server_conn_fail(ex->conn);
}

/* ---- the response's head ---- */

/* The date as HTTP wants it, made once a second. */
static const char *date_text(struct http_server *server)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now_ms = loop_now_ms(server->loop);
    if (now_ms < server->date_until_ms)
        return server->date;
    int64_t wall_ms = clock_wall_ms(loop_clock(server->loop));
    time_t now = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    snprintf(server->date, sizeof(server->date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
             days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
             tm.tm_min, tm.tm_sec);
    server->date_until_ms = now_ms + 1000 - wall_ms % 1000;
    return server->date;
}

static void add_status_line(struct buf *out, unsigned status)
{
    buf_add_str(out, STR("HTTP/1.1 "));
    buf_add_uint(out, status);
    buf_add_char(out, ' ');
    buf_add_cstr(out, http_status_text(status));
    buf_add_str(out, STR("\r\n"));
}

static void add_length(struct buf *out, uint64_t length)
{
    buf_add_str(out, STR("Content-Length: "));
    buf_add_uint(out, length);
    buf_add_str(out, STR("\r\n"));
}

void reply_head_write(struct http_server *server, const struct reply_head *head, struct buf *out)
{
    bool has_date = false;
    add_status_line(out, head->status);
    for (unsigned i = 0; i < head->count; i++) {
        /* A value with a line end in it would let its author write the rest of the response. */
        if (!http_is_value(head->headers[i].value))
            continue;
        has_date |= str_eq_nocase(head->headers[i].name, STR("Date"));
        header_out_add(out, head->headers[i].name, head->headers[i].value);
    }
    if (!has_date)
        header_out_add(out, STR("Date"), str_of(date_text(server)));
    if (head->content_length >= 0)
        add_length(out, (uint64_t)head->content_length);
    else if (head->coding == REPLY_CHUNKED)
        buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
    if (head->close)
        buf_add_str(out, STR("Connection: close\r\n"));
    else if (head->keep_alive)
        buf_add_str(out, STR("Connection: keep-alive\r\n"));
    buf_add_str(out, STR("\r\n"));
}

static bool status_has_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

static enum reply_coding choose_coding(const struct http_exchange *ex, unsigned status,
                                       int64_t content_length)
{
    if (ex->method == HTTP_HEAD || !status_has_body(status))
        return REPLY_NO_BODY;
    if (content_length >= 0)
        return REPLY_LENGTH;
    return ex->minor > 0 ? REPLY_CHUNKED : REPLY_TO_CLOSE;
}

/* Whether the connection can serve another request after this response. */
static bool may_keep_alive(const struct http_exchange *ex)
{
    const struct server_conn *c = ex->conn;
    if (!ex->wants_keep_alive || c->server->draining || ex->coding == REPLY_TO_CLOSE)
        return false;
    /* Without its "100 Continue" the client may send the body or the next request. */
    if (c->continue_due)
        return false;
    return c->body != HTTP_BODY_LENGTH || c->body_left <= CONN_DISCARD_MAX;
}

/* Queues the head; it leaves with the first piece of the body or at the end of this turn. */
static void queue_head(struct http_exchange *ex, unsigned status, const struct http_header *headers,
                       unsigned count, int64_t content_length)
{
    assert(!ex->reply_started);
    ex->reply_started = true;
    ex->coding = choose_coding(ex, status, content_length);
    ex->reply_left = content_length > 0 ? (uint64_t)content_length : 0;
    ex->keep_alive = may_keep_alive(ex);
    bool announces_body = status_has_body(status);
    const struct reply_head head = {
        .status = status,
        .headers = headers,
        .count = count,
        .coding = ex->coding,
        .content_length = announces_body ? content_length : -1,
        .close = !ex->keep_alive,
        .keep_alive = ex->keep_alive && ex->minor == 0,
    };
    server_buf_take(ex->conn->server, &ex->conn->out);
    reply_head_write(ex->conn->server, &head, &ex->conn->out);
    server_conn_restart_wait(ex->conn);
    server_conn_touch(ex->conn);
}

/* ---- the response ---- */

void http_reply(struct http_exchange *ex, unsigned status, const struct http_header *headers,
                unsigned count, struct str body)
{
    http_reply_start(ex, status, headers, count, (int64_t)body.len);
    http_reply_write(ex, body);
    http_reply_end(ex);
}

void http_reply_start(struct http_exchange *ex, unsigned status, const struct http_header *headers,
                      unsigned count, int64_t content_length)
{
    if (!is_over(ex))
        queue_head(ex, status, headers, count, content_length);
}

static struct iovec part_of(struct str s)
{
    return (struct iovec){(void *)(uintptr_t)s.ptr, s.len};
}

/* The line before a chunk, written at the end of `room`. */
static struct str chunk_line(size_t size, char room[CHUNK_LINE_MAX])
{
    char *end = room + CHUNK_LINE_MAX, *at = end;
    *--at = '\n';
    *--at = '\r';
    for (; size; size >>= 4)
        *--at = "0123456789abcdef"[size & 15];
    return str_sub(at, (size_t)(end - at));
}

static void send_chunk(struct server_conn *c, struct str data)
{
    char line[CHUNK_LINE_MAX];
    const struct iovec parts[] = {part_of(chunk_line(data.len, line)), part_of(data),
                                  part_of(STR("\r\n"))};
    server_conn_send(c, parts, ARRAY_LEN(parts));
}

size_t http_reply_write(struct http_exchange *ex, struct str data)
{
    if (is_over(ex))
        return 0;
    assert(ex->reply_started && !ex->reply_ended);
    const struct iovec whole = part_of(data);
    if (data.len > 0)
        switch (ex->coding) {
        case REPLY_LENGTH:
            assert(data.len <= ex->reply_left);
            ex->reply_left -= data.len;
            server_conn_send(ex->conn, &whole, 1);
            break;
        case REPLY_CHUNKED:
            send_chunk(ex->conn, data);
            break;
        case REPLY_TO_CLOSE:
            server_conn_send(ex->conn, &whole, 1);
            break;
        case REPLY_NO_BODY:
            break;
        }
    size_t waiting = server_conn_queued(ex->conn);
    ex->above_high |= waiting > ex->high_water;
    return waiting;
}

void http_reply_set_high_water(struct http_exchange *ex, size_t bytes)
{
    ex->high_water = bytes;
}

void http_reply_end(struct http_exchange *ex)
{
    if (is_over(ex) || ex->reply_ended)
        return;
    assert(ex->reply_started);
    if (ex->coding == REPLY_LENGTH && ex->reply_left > 0) {
        http_exchange_abort(ex);
        return;
    }
    if (ex->coding == REPLY_CHUNKED) {
        const struct iovec last = part_of(STR("0\r\n\r\n"));
        server_conn_send(ex->conn, &last, 1);
    }
    ex->reply_ended = true;
    server_conn_touch(ex->conn);
}

bool http_reply_started(const struct http_exchange *ex)
{
    return ex->reply_started;
}
