/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes out of a connection: what the socket doesn't take waits in its queue. */
#include "http/server_priv.h"

#include <assert.h>
#include <errno.h>

static void queue_trim(struct server_conn *c)
{
    if (c->out_sent == c->out.len) {
        c->out_sent = 0;
        server_buf_give(c->server, &c->out); /* a stream may be silent for long */
    } else if (c->out_sent > CONN_LOW_WATER && c->out_sent >= c->out.len - c->out_sent) {
        buf_drop(&c->out, c->out_sent);
        c->out_sent = 0;
    }
}

/* Queues what is behind the first `sent` bytes of `parts`. */
static void queue_rest(struct server_conn *c, const struct iovec *parts, int count, size_t sent)
{
    for (int i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        sent -= skip;
        if (skip < parts[i].iov_len)
            buf_add(&c->out, (const char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
    }
}

void server_conn_send(struct server_conn *c, const struct iovec *parts, int count)
{
    assert(count <= CONN_PARTS_MAX);
    size_t waiting = server_conn_queued(c);
    struct iovec all[1 + CONN_PARTS_MAX] = {{waiting ? c->out.ptr + c->out_sent : NULL, waiting}};
    for (int i = 0; i < count; i++)
        all[1 + i] = parts[i];
    ssize_t n = c->blocked ? -EAGAIN : stream_write(c->stream, all, 1 + count);
    if (n < 0 && n != -EAGAIN) {
        server_conn_fail(c);
        return;
    }
    if (waiting == 0)
        server_conn_restart_wait(c);
    else if (n > 0)
        server_conn_progress(c, (size_t)n);
    size_t sent = n > 0 ? (size_t)n : 0;
    size_t from_queue = sent < waiting ? sent : waiting;
    c->out_sent += from_queue;
    queue_trim(c);
    queue_rest(c, parts, count, sent - from_queue);
    c->blocked = server_conn_queued(c) > 0;
    if (c->blocked)
        server_conn_touch(c); /* to be told when the socket takes more */
}
