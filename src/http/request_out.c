/* SPDX-License-Identifier: Apache-2.0 */
#include "http/char_priv.h"
#include "http/client_priv.h"
#include "http/header_out_priv.h"

#include <errno.h>

enum {
    HEAD_ROOM = 1024,      /* first size of a head: enough for most, so that secrets aren't moved */
    FLUSH_MAX = 128 << 10, /* bytes of one write: well below 0.1 ms of a loop's time */
    QUEUE_KEEP = 64 << 10, /* an empty queue larger than this gives its memory back */
};

/* ---- the head ---- */

static bool is_all(struct str s, bool (*is_member)(unsigned char))
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_member((unsigned char)s.ptr[i]))
            return false;
    return true;
}

static bool is_graphic(unsigned char c)
{
    return c > 0x20 && c != 0x7f;
}

/* Parts of a request come from outside: none may smuggle in a line of its own. */
static int check_parts(const struct http_call_params *params, struct err *err)
{
    if (!str_has_prefix(params->path, STR("/")) || !is_all(params->path, is_graphic))
        return err_set(err, ERR_INVALID, "the request's path must begin with / and have no blanks");
    if (!is_all(str_of(params->target->host), is_graphic))
        return err_set(err, ERR_INVALID, "the target's host has blanks or control characters");
    for (unsigned i = 0; i < params->header_count; i++) {
        const struct http_header *header = &params->headers[i];
        if (header->name.len == 0 || !is_all(header->name, http_char_is_token) ||
            !is_all(header->value, http_char_is_value))
            return err_set(err, ERR_INVALID, "request header %u is malformed", i + 1);
    }
    return 0;
}

static void add_host(struct buf *head, const struct http_target *target)
{
    bool is_v6 = strchr(target->host, ':') != NULL;
    unsigned usual = target->tls ? 443 : 80;
    const char *host = target->host[0] ? target->host : "localhost";
    buf_add_cstr(head, is_v6 ? "Host: [" : "Host: ");
    buf_add_cstr(head, host);
    buf_add_cstr(head, is_v6 ? "]" : "");
    if (!target->unix_path[0] && target->port != usual) {
        buf_add_char(head, ':');
        buf_add_uint(head, target->port);
    }
    buf_add_str(head, STR("\r\n"));
}

/* Methods whose request has a body even when that is empty. */
static bool expects_body(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static size_t body_len(const struct http_body *body)
{
    size_t len = 0;
    for (unsigned i = 0; i < body->count; i++)
        len += body->parts[i].len;
    return len;
}

static void add_length(struct buf *head, uint64_t length)
{
    buf_add_str(head, STR("Content-Length: "));
    buf_add_uint(head, length);
    buf_add_str(head, STR("\r\n"));
}

static void add_framing(struct buf *head, const struct http_call_params *params)
{
    size_t len = body_len(&params->body);
    if (params->stream_body && params->stream_length < 0)
        buf_add_str(head, STR("Transfer-Encoding: chunked\r\n"));
    else if (params->stream_body)
        add_length(head, (uint64_t)params->stream_length);
    else if (len || expects_body(params->method))
        add_length(head, len);
}

static void add_head(struct buf *head, const struct http_call_params *params)
{
    buf_reserve(head, HEAD_ROOM);
    buf_add_cstr(head, http_method_name(params->method));
    buf_add_char(head, ' ');
    buf_add_str(head, params->path);
    buf_add_str(head, STR(" HTTP/1.1\r\n"));
    add_host(head, params->target);
    for (unsigned i = 0; i < params->header_count; i++)
        header_out_add(head, params->headers[i].name, params->headers[i].value);
    add_framing(head, params);
    buf_add_str(head, STR("\r\n"));
}

int request_out_init(struct request_out *out, const struct http_call_params *params,
                     struct err *err)
{
    int rc = check_parts(params, err);
    if (rc < 0)
        return rc;
    *out = (struct request_out){.is_streamed = params->stream_body,
                                .is_finished = !params->stream_body,
                                .is_chunked = params->stream_body && params->stream_length < 0};
    if (!params->stream_body) {
        out->body = params->body;
        out->body_len = body_len(&params->body);
    }
    add_head(&out->head, params);
    return 0;
}

void request_out_fini(struct request_out *out)
{
    if (out->head.ptr)
        explicit_bzero(out->head.ptr, out->head.cap); /* credentials stand there */
    buf_fini(&out->head);
    buf_fini(&out->queue);
}

void request_out_shrink(struct request_out *out)
{
    if (!request_out_is_done(out))
        return;
    request_out_fini(out);
    *out = (struct request_out){.is_streamed = out->is_streamed, .is_finished = true};
}

void request_out_rewind(struct request_out *out)
{
    out->head_sent = 0;
    out->body_sent = 0;
    out->is_broken = false;
}

/* ---- a streamed body ---- */

void request_out_add(struct request_out *out, struct str data)
{
    /* An empty chunk would be the last one. */
    if (out->is_broken || data.len == 0)
        return;
    if (out->queue_sent >= out->queue.len - out->queue_sent) {
        buf_drop(&out->queue, out->queue_sent);
        out->queue_sent = 0;
    }
    if (out->is_chunked)
        buf_printf(&out->queue, "%zx\r\n", data.len);
    buf_add_str(&out->queue, data);
    if (out->is_chunked)
        buf_add_str(&out->queue, STR("\r\n"));
}

void request_out_finish(struct request_out *out)
{
    if (out->is_finished)
        return;
    out->is_finished = true;
    if (out->is_chunked && !out->is_broken)
        buf_add_str(&out->queue, STR("0\r\n\r\n"));
}

/* ---- to the socket ---- */

size_t request_out_waiting(const struct request_out *out)
{
    if (out->is_broken)
        return 0;
    return out->head.len - out->head_sent + out->body_len - out->body_sent + out->queue.len -
           out->queue_sent;
}

bool request_out_is_done(const struct request_out *out)
{
    return out->is_finished && !out->is_broken && request_out_waiting(out) == 0;
}

/* Counts `*n` bytes as sent as far as they belong to a part of `len` bytes. */
static void count_sent(size_t *n, size_t len, size_t *sent)
{
    size_t mine = *n < len - *sent ? *n : len - *sent;
    *sent += mine;
    *n -= mine;
}

static void on_sent(struct request_out *out, size_t n)
{
    count_sent(&n, out->head.len, &out->head_sent);
    count_sent(&n, out->body_len, &out->body_sent);
    count_sent(&n, out->queue.len, &out->queue_sent);
    if (out->queue_sent < out->queue.len)
        return;
    out->queue_sent = 0;
    if (out->queue.cap > QUEUE_KEEP)
        buf_fini(&out->queue);
    else
        buf_clear(&out->queue);
}

static struct iovec part_of(struct str s, size_t sent)
{
    struct str rest = str_skip(s, sent);
    /* The kernel's interface has no const; it only reads. */
    return (struct iovec){.iov_base = (void *)(uintptr_t)rest.ptr, .iov_len = rest.len};
}

/* What is left of head, body and queue; returns the number of parts. */
static int parts_left(const struct request_out *out,
                      struct iovec parts[static HTTP_BODY_PARTS_MAX + 2])
{
    int count = 0;
    size_t skip = out->body_sent;
    parts[count++] = part_of(buf_str(&out->head), out->head_sent);
    for (unsigned i = 0; i < out->body.count; i++) {
        struct str part = out->body.parts[i];
        if (skip < part.len)
            parts[count++] = part_of(part, skip);
        skip -= skip < part.len ? skip : part.len;
    }
    parts[count++] = part_of(buf_str(&out->queue), out->queue_sent);
    return count;
}

/* Cuts the parts off behind `max` bytes. */
static int cut_parts(struct iovec *parts, int count, size_t max)
{
    int kept = 0;
    for (; kept < count && max > 0; kept++) {
        parts[kept].iov_len = parts[kept].iov_len < max ? parts[kept].iov_len : max;
        max -= parts[kept].iov_len;
    }
    return kept;
}

/*
 * One write a turn: while an engine takes a large body as fast as it is written, other connections
 * of this thread must not wait for its end.
 */
bool request_out_flush(struct request_out *out, struct stream *stream)
{
    struct iovec parts[HTTP_BODY_PARTS_MAX + 2];
    if (request_out_waiting(out) == 0)
        return false;
    int count = cut_parts(parts, parts_left(out, parts), FLUSH_MAX);
    ssize_t n = stream_write(stream, parts, count);
    if (n == -EAGAIN)
        return false;
    if (n < 0) {
        /* Reading tells how the call ends: a response may be there already. */
        out->is_broken = true;
        buf_fini(&out->queue);
        out->queue_sent = 0;
        return false;
    }
    on_sent(out, (size_t)n);
    return true;
}
