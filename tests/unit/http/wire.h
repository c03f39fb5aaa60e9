/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw sockets and a clock that stands still, for tests that run servers and their clients on one
 * loop in one thread. Waiting means turning the loop until something has happened; a test that
 * waits in vain fails and says `wire_about`.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WIRE_PATIENCE_S = 20, WIRE_QUIET_TURNS = 8 };

#define WIRE_DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static int64_t wire_mono_ms;

static inline int64_t wire_read_mono(void *ctx)
{
    (void)ctx;
    return wire_mono_ms;
}

static inline int64_t wire_read_wall(void *ctx)
{
    (void)ctx;
    return INT64_C(784111777) * 1000;
}

static const struct clock wire_clock = {.mono_ms = wire_read_mono, .wall_ms = wire_read_wall};

static inline void wire_stop(void *arg)
{
    loop_stop(arg);
}

static const char *wire_about = ""; /* what the test is at, for the message of a failure */
static time_t wire_deadline;        /* of the running test */

static inline void wire_begin(void)
{
    wire_deadline = time(NULL) + WIRE_PATIENCE_S;
}

/* One turn of the loop. */
static inline void wire_turn(struct loop *loop)
{
    if (time(NULL) > wire_deadline)
        fail_msg("waited in vain: %s", wire_about);
    loop_post(loop, wire_stop, loop);
    loop_run(loop);
}

#define WIRE_UNTIL(loop, condition)                                                                \
    while (!(condition))                                                                           \
    wire_turn(loop)

/* Enough turns for anything that could still come on its own. */
static inline void wire_settle(struct loop *loop)
{
    for (int i = 0; i < WIRE_QUIET_TURNS; i++)
        wire_turn(loop);
}

/* Moves the clock on and lets due timers run. */
static inline void wire_advance(struct loop *loop, int64_t ms)
{
    wire_mono_ms += ms;
    wire_settle(loop);
}

/* A socket connected to `port`, or -errno. */
static inline int wire_try_connect(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline int wire_connect(unsigned port)
{
    int fd = wire_try_connect(port);
    assert_true(fd >= 0);
    return fd;
}

/* A listening socket on a free port, for a peer that the test plays itself. */
static inline int wire_listen(unsigned *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* The next connection, or -1 while there is none. */
static inline int wire_accept(int listening)
{
    return accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Closes with a reset. */
static inline void wire_reset(int fd)
{
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

/* Sends all of it, turning the loop while the socket is full. */
static inline void wire_send(struct loop *loop, int fd, struct str data)
{
    while (data.len) {
        ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        data = str_skip(data, n > 0 ? (size_t)n : 0);
        if (n < 0)
            wire_turn(loop);
    }
}

/* Reads what is there: bytes, 0 at the end, -errno. */
static inline ssize_t wire_read(int fd, struct buf *out)
{
    ssize_t n = recv(fd, buf_reserve(out, 64 << 10), 64 << 10, 0);
    if (n > 0)
        buf_grew(out, (size_t)n);
    return n < 0 ? -errno : n;
}

/* Reads until the last bytes are `end`. */
static inline void wire_read_until(struct loop *loop, int fd, struct buf *out, const char *end)
{
    while (!str_has_suffix(buf_str(out), str_of(end))) {
        ssize_t n = wire_read(fd, out);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            fail_msg("connection ended (%zd) after: %s", n, out->ptr ? out->ptr : "");
        if (n < 0)
            wire_turn(loop);
    }
}

/* Reads to the connection's end; false when that was a reset. */
static inline bool wire_read_to_end(struct loop *loop, int fd, struct buf *out)
{
    for (;;) {
        ssize_t n = wire_read(fd, out);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            return n == 0;
        if (n < 0)
            wire_turn(loop);
    }
}

static inline void wire_expect(struct loop *loop, int fd, const char *want)
{
    struct buf got = {0};
    while (got.len < strlen(want)) {
        ssize_t n = wire_read(fd, &got);
        if (n == 0 || (n < 0 && n != -EAGAIN))
            fail_msg("connection ended (%zd) after: %s", n, got.ptr ? got.ptr : "");
        if (n < 0)
            wire_turn(loop);
    }
    assert_string_equal(got.ptr ? got.ptr : "", want);
    buf_fini(&got);
}

/* Nothing more comes, and the connection stays. */
static inline void wire_expect_silence(struct loop *loop, int fd)
{
    wire_settle(loop);
    struct buf got = {0};
    ssize_t n = wire_read(fd, &got);
    if (n != -EAGAIN)
        fail_msg("wanted silence, got %zd: %s", n, got.ptr ? got.ptr : "");
    buf_fini(&got);
}

static inline void wire_expect_end(struct loop *loop, int fd)
{
    struct buf got = {0};
    assert_true(wire_read_to_end(loop, fd, &got));
    assert_int_equal(got.len, 0);
    buf_fini(&got);
}
