/* SPDX-License-Identifier: Apache-2.0 */
#include "io/stream.h"

#include "io/stream_priv.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { SEND_TOGETHER_MAX = 4096 }; /* bytes: a small request or response with its head */

static void set_number(int fd, int option, int value)
{
    (void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value); /* unix sockets have none */
}

void stream_set_options(int fd)
{
    int on = 1;
    set_number(fd, TCP_NODELAY, 1);
    set_number(fd, TCP_KEEPIDLE, STREAM_PROBE_IDLE_S);
    set_number(fd, TCP_KEEPINTVL, STREAM_PROBE_INTERVAL_S);
    set_number(fd, TCP_KEEPCNT, STREAM_PROBE_COUNT);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void stream_set_accepted_options(int fd)
{
    stream_set_options(fd);
    set_number(fd, TCP_USER_TIMEOUT, STREAM_UNTAKEN_MS);
}

struct stream *stream_from_fd(struct loop *loop, int fd, stream_event_cb *on_event, void *ctx)
{
    struct stream *stream = mem_alloc(sizeof *stream);
    *stream = (struct stream){.loop = loop, .fd = fd, .on_event = on_event, .ctx = ctx};
    stream->watch = watch_new(loop, fd, stream_on_ready, stream);
    return stream;
}

int stream_start_tls(struct stream *stream, const struct certificate *certificate, struct err *err)
{
    assert(!stream->tls && !stream->connect);
    stream->tls = tls_new_server(stream->fd, certificate, err);
    if (!stream->tls)
        return err ? err->code : ERR_UNAVAILABLE;
    timer_init(&stream->tls->more, stream->loop, stream_on_more, stream);
    return 0;
}

int stream_handshake(struct stream *stream, struct err *err)
{
    unsigned events = 0;
    int rc = tls_handshake(stream->tls, &events, err);
    stream->tls->read_wants_write = rc == -EAGAIN && (events & WATCH_WRITE);
    stream_update(stream);
    return rc;
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->tls != NULL;
}

/* What to watch the socket for: TLS may have to write in order to read, and the other way round. */
static unsigned socket_events(const struct stream *stream)
{
    unsigned events = stream->wanted;
    if (!stream->tls)
        return events;
    if ((events & WATCH_READ) && stream->tls->read_wants_write)
        events |= WATCH_WRITE;
    if ((events & WATCH_WRITE) && stream->tls->write_wants_read)
        events |= WATCH_READ;
    return events;
}

void stream_update(struct stream *stream)
{
    if (stream->connect || !stream->watch)
        return;
    watch_set(stream->watch, socket_events(stream));
    if (!stream->tls)
        return;
    if ((stream->wanted & WATCH_READ) && tls_has_bytes(stream->tls))
        timer_start(&stream->tls->more, 0);
    else
        timer_stop(&stream->tls->more);
}

void stream_on_more(struct timer *timer, void *ctx)
{
    struct stream *stream = ctx;
    timer_start(timer, 0);
    stream->on_event(stream, WATCH_READ, stream->ctx);
}

/* The owner's view of what the socket is ready for. */
static unsigned owner_events(const struct stream *stream, unsigned ready)
{
    if (stream->tls && stream->tls->read_wants_write && (ready & WATCH_WRITE))
        ready |= WATCH_READ;
    if (stream->tls && stream->tls->write_wants_read && (ready & WATCH_READ))
        ready |= WATCH_WRITE;
    /* Nothing that was asked for means an error, and with that everything is ready. */
    return ready & stream->wanted ? ready & stream->wanted : stream->wanted;
}

void stream_on_ready(struct watch *watch, unsigned events, void *ctx)
{
    (void)watch;
    struct stream *stream = ctx;
    if (stream->connect) {
        connect_on_ready(stream);
        return;
    }
    unsigned ready = owner_events(stream, events);
    if (ready)
        stream->on_event(stream, ready, stream->ctx);
}

void stream_want(struct stream *stream, unsigned events)
{
    stream->wanted = events;
    stream_update(stream);
}

void stream_set_owner(struct stream *stream, stream_event_cb *on_event, void *ctx)
{
    stream->on_event = on_event;
    stream->ctx = ctx;
}

ssize_t stream_read(struct stream *stream, void *data, size_t n)
{
    assert(!stream->connect);
    if (stream->tls) {
        ssize_t got = tls_read(stream->tls, data, n);
        stream_update(stream);
        return got;
    }
    for (;;) {
        ssize_t got = recv(stream->fd, data, n, 0);
        if (got >= 0 || errno != EINTR)
            return got >= 0 ? got : -errno;
    }
}

static ssize_t send_one(int fd, const void *data, size_t len)
{
    for (;;) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR)
            return sent >= 0 ? sent : -errno;
    }
}

/* Small parts are put together first: that costs less than telling the kernel of each. */
static ssize_t send_together(int fd, const struct iovec *parts, int count)
{
    char together[SEND_TOGETHER_MAX];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(together + len, parts[i].iov_base, parts[i].iov_len);
        len += parts[i].iov_len;
    }
    return send_one(fd, together, len);
}

static ssize_t send_parts(int fd, const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += parts[i].iov_len;
    if (count == 1)
        return send_one(fd, parts->iov_base, len);
    if (len <= SEND_TOGETHER_MAX)
        return send_together(fd, parts, count);
    struct iovec copy[16]; /* the kernel's interface wants them writable */
    if ((size_t)count > ARRAY_LEN(copy))
        count = (int)ARRAY_LEN(copy);
    memcpy(copy, parts, (size_t)count * sizeof *parts);
    struct msghdr message = {.msg_iov = copy, .msg_iovlen = (size_t)count};
    for (;;) {
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR)
            return sent >= 0 ? sent : -errno;
    }
}

ssize_t stream_write(struct stream *stream, const struct iovec *parts, int count)
{
    assert(!stream->connect);
    if (!stream->tls)
        return send_parts(stream->fd, parts, count);
    ssize_t sent = tls_write(stream->tls, parts, count);
    stream_update(stream);
    return sent;
}

bool stream_is_stale(struct stream *stream)
{
    if (stream->tls)
        return tls_is_stale(stream->tls);
    char byte;
    ssize_t n = recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || errno != EAGAIN;
}

void stream_shutdown(struct stream *stream)
{
    if (stream->tls)
        tls_say_goodbye(stream->tls);
    shutdown(stream->fd, SHUT_WR);
}

int stream_fd(const struct stream *stream)
{
    return stream->fd;
}

void stream_close_socket(struct stream *stream)
{
    tls_free(TAKE(stream->tls));
    watch_free(TAKE(stream->watch));
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    connect_free(stream->connect);
    stream_close_socket(stream);
    free(stream);
}

void stream_reset(struct stream *stream)
{
    if (!stream)
        return;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (stream->fd >= 0)
        (void)setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (stream->tls)
        tls_be_rude(stream->tls);
    stream_free(stream);
}
