/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting a stream: name to addresses, each address in turn, then the TLS handshake. The owner
 * is always told from the timer, so never from inside stream_connect() and never twice.
 */
#include "io/resolve_priv.h"
#include "io/stream_priv.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

enum connect_state {
    CONNECT_RESOLVE,
    CONNECT_SOCKET,
    CONNECT_HANDSHAKE,
    CONNECT_SETTLED, /* `rc` and `err` say how; the owner is told at the end of the turn */
};

struct connect {
    enum connect_state state;
    void (*on_connect)(struct stream *, int rc, const char *text, void *ctx);
    char *host; /* owned; NULL on a unix socket */
    char *name; /* owned: "host:port" or "unix:/path", for texts */
    bool tls;
    int64_t timeout_ms;
    int64_t deadline_ms;
    struct timer timer; /* end of the state's time; at once when settled */
    struct resolve *resolve;
    struct addrinfo *list;       /* owned */
    const struct addrinfo *next; /* in `list`; not yet tried */
    int rc;
    struct err err; /* of the last address that was tried */
};

void connect_free(struct connect *connect)
{
    if (!connect)
        return;
    resolve_cancel(connect->resolve);
    timer_stop(&connect->timer);
    if (connect->list)
        freeaddrinfo(connect->list);
    free(connect->host);
    free(connect->name);
    free(connect);
}

static void settle(struct stream *stream, int rc)
{
    struct connect *connect = stream->connect;
    connect->state = CONNECT_SETTLED;
    connect->rc = rc;
    if (rc < 0)
        stream_close_socket(stream);
    else
        watch_set(stream->watch, 0);
    timer_start(&connect->timer, 0);
}

static void report(struct stream *stream)
{
    struct connect *connect = TAKE(stream->connect);
    if (connect->rc == 0)
        stream_update(stream);
    int rc = connect->rc;
    struct err err = connect->err;
    void (*on_connect)(struct stream *, int, const char *, void *) = connect->on_connect;
    connect_free(connect);
    on_connect(stream, rc, rc < 0 ? err.text : "", stream->ctx);
}

static int fail_timeout(struct connect *connect)
{
    return err_set(&connect->err, ERR_TIMEOUT, "can't connect to %s: no answer within %lld ms",
                   connect->name, (long long)connect->timeout_ms);
}

static int64_t left_ms(const struct stream *stream)
{
    int64_t left = stream->connect->deadline_ms - loop_now_ms(stream->loop);
    return left > 0 ? left : 0;
}

/* An address that swallows packets must not use up the time of those behind it. */
static int64_t attempt_ms(const struct stream *stream)
{
    int64_t shares = 1;
    for (const struct addrinfo *at = stream->connect->next; at; at = at->ai_next)
        shares++;
    return left_ms(stream) / shares;
}

static void step_handshake(struct stream *stream)
{
    struct connect *connect = stream->connect;
    unsigned events = 0;
    int rc = tls_handshake(stream->tls, &events, &connect->err);
    if (rc == -EAGAIN) {
        watch_set(stream->watch, events);
        return;
    }
    if (rc < 0)
        err_wrap(&connect->err, rc, "TLS handshake with %s failed", connect->name);
    settle(stream, rc);
}

static void on_connected(struct stream *stream)
{
    struct connect *connect = stream->connect;
    if (!connect->tls) {
        settle(stream, 0);
        return;
    }
    stream->tls = tls_new(stream->loop, stream->fd, connect->host, &connect->err);
    if (!stream->tls) {
        settle(stream, connect->err.code);
        return;
    }
    timer_init(&stream->tls->more, stream->loop, stream_on_more, stream);
    connect->state = CONNECT_HANDSHAKE;
    timer_start(&connect->timer, left_ms(stream));
    step_handshake(stream);
}

/* Opens the socket and begins to connect. 0 when that is done, -EINPROGRESS, or why not. */
static int begin(struct stream *stream, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    stream_set_options(fd);
    stream->fd = fd;
    stream->watch = watch_new(stream->loop, fd, stream_on_ready, stream);
    if (connect(fd, address, size) == 0)
        return 0;
    return errno == EINTR ? -EINPROGRESS : -errno;
}

/* The address failed; its socket goes, its error stays for the owner. */
static void fail_attempt(struct stream *stream, int rc)
{
    struct connect *connect = stream->connect;
    if (rc == ERR_TIMEOUT)
        fail_timeout(connect);
    else
        err_errno(&connect->err, -rc, "can't connect to %s", connect->name);
    stream_close_socket(stream);
}

static void try_addresses(struct stream *stream)
{
    struct connect *connect = stream->connect;
    connect->state = CONNECT_SOCKET;
    while (connect->next) {
        const struct addrinfo *at = connect->next;
        connect->next = at->ai_next;
        int rc = begin(stream, at->ai_addr, at->ai_addrlen);
        if (rc == 0) {
            on_connected(stream);
            return;
        }
        if (rc == -EINPROGRESS) {
            watch_set(stream->watch, WATCH_WRITE);
            timer_start(&connect->timer, attempt_ms(stream));
            return;
        }
        fail_attempt(stream, rc);
    }
    settle(stream, connect->err.code);
}

static void on_socket_ready(struct stream *stream)
{
    int fault = 0;
    socklen_t size = sizeof fault;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &fault, &size) < 0)
        fault = errno;
    if (fault == 0) {
        on_connected(stream);
        return;
    }
    fail_attempt(stream, -fault);
    try_addresses(stream);
}

void connect_on_ready(struct stream *stream)
{
    switch (stream->connect->state) {
    case CONNECT_SOCKET:
        on_socket_ready(stream);
        return;
    case CONNECT_HANDSHAKE:
        step_handshake(stream);
        return;
    case CONNECT_RESOLVE:
    case CONNECT_SETTLED:
        return;
    }
}

static void on_timer(struct timer *timer, void *ctx)
{
    (void)timer;
    struct stream *stream = ctx;
    switch (stream->connect->state) {
    case CONNECT_RESOLVE:
        resolve_cancel(TAKE(stream->connect->resolve));
        settle(stream, fail_timeout(stream->connect));
        break;
    case CONNECT_SOCKET:
        fail_attempt(stream, ERR_TIMEOUT);
        try_addresses(stream);
        break;
    case CONNECT_HANDSHAKE:
        settle(stream, fail_timeout(stream->connect));
        break;
    case CONNECT_SETTLED:
        break;
    }
    if (stream->connect->state == CONNECT_SETTLED)
        report(stream);
}

static void on_resolved(int rc, struct addrinfo *list, const struct err *err, void *ctx)
{
    struct stream *stream = ctx;
    struct connect *connect = stream->connect;
    connect->resolve = NULL;
    if (rc < 0) {
        connect->err = *err;
        settle(stream, rc);
        return;
    }
    connect->list = list;
    connect->next = list;
    try_addresses(stream);
}

static void start_unix(struct stream *stream, const char *path)
{
    struct connect *connect = stream->connect;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        settle(stream, err_set(&connect->err, -ENAMETOOLONG,
                               "can't connect to %s: the path is longer than %zu bytes",
                               connect->name, sizeof address.sun_path - 1));
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    int rc = begin(stream, (struct sockaddr *)&address, sizeof address);
    if (rc < 0)
        fail_attempt(stream, rc);
    settle(stream, rc);
}

static void start_tcp(struct stream *stream, const char *host, unsigned port)
{
    struct connect *connect = stream->connect;
    connect->list = resolve_numeric(host, port);
    if (connect->list) {
        connect->next = connect->list;
        try_addresses(stream);
        return;
    }
    connect->state = CONNECT_RESOLVE;
    connect->resolve = resolve_start(stream->loop, host, port, on_resolved, stream);
    timer_start(&connect->timer, left_ms(stream));
}

static char *address_name(const struct stream_address *address)
{
    if (address->unix_path)
        return mem_printf("unix:%s", address->unix_path);
    bool v6 = strchr(address->host, ':') != NULL;
    return mem_printf(v6 ? "[%s]:%u" : "%s:%u", address->host, address->port);
}

struct stream *stream_connect(struct loop *loop, const struct stream_address *address,
                              void (*on_connect)(struct stream *, int, const char *, void *),
                              stream_event_cb *on_event, void *ctx)
{
    assert(!address->tls || address->host);
    struct stream *stream = mem_alloc(sizeof *stream);
    *stream = (struct stream){.loop = loop, .fd = -1, .on_event = on_event, .ctx = ctx};
    struct connect *connect = stream->connect = mem_alloc(sizeof *connect);
    connect->on_connect = on_connect;
    connect->host = mem_strdup(address->host);
    connect->name = address_name(address);
    connect->tls = address->tls;
    connect->timeout_ms = address->timeout_ms;
    connect->deadline_ms = loop_now_ms(loop) + address->timeout_ms;
    timer_init(&connect->timer, loop, on_timer, stream);
    if (address->unix_path)
        start_unix(stream, address->unix_path);
    else
        start_tcp(stream, address->host, address->port);
    return stream;
}
