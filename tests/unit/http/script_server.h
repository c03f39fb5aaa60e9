/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server for tests that says what a script says, byte for byte, in the loop of the test. The n-th
 * request over all connections gets the n-th reply. Every event stops the loop, so that a test can
 * wait with RUN_UNTIL().
 */
#pragma once

#include "base/buf.h"
#include "io/listener.h"
#include "io/stream.h"

#include <errno.h>
#include <string.h>

#define RUN_UNTIL(loop, condition)                                                                 \
    do {                                                                                           \
        while (!(condition))                                                                       \
            loop_run(loop);                                                                        \
    } while (0)

/* A clock that stands still until a test moves it. */
static int64_t virtual_ms = 1000;

static int64_t read_virtual(void *ctx)
{
    (void)ctx;
    return virtual_ms;
}

static const struct clock virtual_clock = {.mono_ms = read_virtual, .wall_ms = read_virtual};

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* One turn, in which mail is handled and due timers run. */
static inline void turn(struct loop *loop)
{
    loop_post(loop, stop_loop, loop);
    loop_run(loop);
}

/* Time passes, timers run. */
static inline void pass_ms(struct loop *loop, int64_t ms)
{
    virtual_ms += ms;
    turn(loop);
}

struct reply {
    const char *after; /* comes when the connection's input contains this; NULL: a head's end */
    const char *bytes; /* NULL: none */
    bool closes;       /* the connection is closed then */
    bool resets;       /* ... with a reset */
};

enum { SERVER_CONNS_MAX = 16 };

struct script_server;

struct server_conn {
    struct script_server *server;
    struct stream *stream; /* NULL once closed */
    struct buf input;      /* of the request that isn't answered yet */
};

struct script_server {
    struct loop *loop;
    struct listener *listener;
    unsigned port;
    const struct reply *replies;
    unsigned reply_count;
    unsigned answered;         /* replies given */
    unsigned accepted, closed; /* connections; closed: by the client */
    struct server_conn conns[SERVER_CONNS_MAX];
    struct buf seen; /* all input of all connections */
    bool is_deaf;    /* doesn't read */
};

/* All at once; what is sent here is small enough for the socket. */
static inline void server_send(struct server_conn *conn, const char *bytes)
{
    auto_free char *copy = mem_strdup(bytes);
    struct iovec part = {copy, strlen(copy)};
    assert_int_equal(stream_write(conn->stream, &part, 1), (ssize_t)part.iov_len);
}

/* A byte a turn; from outside the loop only. */
static inline void server_dribble(struct server_conn *conn, const char *bytes)
{
    for (; *bytes; bytes++) {
        char one[2] = {*bytes, '\0'};
        server_send(conn, one);
        turn(conn->server->loop);
    }
}

static inline void server_close(struct server_conn *conn, bool resets)
{
    if (resets)
        stream_reset(TAKE(conn->stream));
    else
        stream_free(TAKE(conn->stream));
}

static inline void server_answer(struct server_conn *conn)
{
    struct script_server *server = conn->server;
    if (server->answered == server->reply_count)
        return;
    const struct reply *reply = &server->replies[server->answered];
    if (!strstr(conn->input.ptr, reply->after ? reply->after : "\r\n\r\n"))
        return;
    buf_clear(&conn->input);
    server->answered++;
    if (reply->bytes)
        server_send(conn, reply->bytes);
    if (reply->closes || reply->resets)
        server_close(conn, reply->resets);
}

static void server_on_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)events;
    struct server_conn *conn = ctx;
    char data[65536];
    ssize_t n = stream_read(stream, data, sizeof data);
    loop_stop(conn->server->loop);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        conn->server->closed++;
        server_close(conn, false);
        return;
    }
    buf_add(&conn->server->seen, data, (size_t)n);
    buf_add(&conn->input, data, (size_t)n);
    server_answer(conn);
}

static void server_on_accept(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                             void *ctx)
{
    (void)listener, (void)peer, (void)peer_uid;
    struct script_server *server = ctx;
    assert_true(server->accepted < SERVER_CONNS_MAX);
    struct server_conn *conn = &server->conns[server->accepted++];
    conn->server = server;
    conn->stream = stream_from_fd(server->loop, fd, server_on_event, conn);
    stream_want(conn->stream, server->is_deaf ? 0 : WATCH_READ);
    loop_stop(server->loop);
}

static inline void server_start(struct script_server *server, struct loop *loop,
                                const struct reply *replies, unsigned count)
{
    *server = (struct script_server){.loop = loop, .replies = replies, .reply_count = count};
    struct err err = {0};
    int rc = listener_tcp(loop, "127.0.0.1", 0, false, server_on_accept, server, &server->listener,
                          &server->port, &err);
    assert_int_equal(rc, 0);
}

static inline void server_stop(struct script_server *server)
{
    listener_free(server->listener);
    for (unsigned i = 0; i < server->accepted; i++) {
        stream_free(server->conns[i].stream);
        buf_fini(&server->conns[i].input);
    }
    buf_fini(&server->seen);
}
