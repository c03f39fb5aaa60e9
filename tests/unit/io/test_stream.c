/* SPDX-License-Identifier: Apache-2.0 */
#include "io/stream.h"

#include "base/buf.h"
#include "io/listener.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

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

static void turn(struct loop *loop)
{
    loop_post(loop, stop_loop, loop);
    loop_run(loop);
}

/* ---- connecting ---- */

struct attempt {
    struct loop *loop;
    struct stream *stream;
    unsigned calls;
    int rc;
    struct err text;
    bool frees;
};

static void on_connect(struct stream *stream, int rc, const char *text, void *ctx)
{
    struct attempt *attempt = ctx;
    assert_ptr_equal(stream, attempt->stream);
    attempt->calls++;
    attempt->rc = rc;
    err_set(&attempt->text, rc, "%s", text);
    if (attempt->frees)
        stream_free(TAKE(attempt->stream));
    loop_stop(attempt->loop);
}

static void on_no_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)stream, (void)events, (void)ctx;
    fail();
}

static void begin(struct attempt *attempt, const struct stream_address *address)
{
    attempt->stream = stream_connect(attempt->loop, address, on_connect, on_no_event, attempt);
    assert_non_null(attempt->stream);
    assert_int_equal(attempt->calls, 0);
}

/* A socket on a free port of `host`; nobody listens there yet. */
static int bound_socket(const char *host, unsigned *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(host)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* The same with a queue that is full: who connects gets no answer. */
static int full_socket(const char *host, unsigned *ret_port)
{
    int fd = bound_socket(host, ret_port);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(fd, 0), 0);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, size), 0);
    close(peer); /* its connection stays in the queue */
    return fd;
}

static void test_connect_failures_are_told_later_and_name_the_address(void **state)
{
    (void)state;
    unsigned port;
    int fd = bound_socket("127.0.0.1", &port);
    const struct {
        struct stream_address address;
        int code;
        const char *text;
    } cases[] = {
        {{.host = "127.0.0.1", .port = port}, -ECONNREFUSED, "can't connect to 127.0.0.1:"},
        {{.host = "127.0.0.1", .port = port, .tls = true}, -ECONNREFUSED, "127.0.0.1:"},
        {{.unix_path = "/nowhere/x.sock"}, -ENOENT, "can't connect to unix:/nowhere/x.sock: No su"},
        {{.host = "a..b", .port = 80}, -EHOSTUNREACH, "can't resolve a..b: "},
        {{.unix_path = "/0123456789012345678901234567890123456789012345678901234567890123456789"
                       "01234567890123456789012345678901234567"},
         -ENAMETOOLONG,
         "longer than"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct attempt attempt = {.loop = loop_new(&clock_system)};
        struct stream_address address = cases[i].address;
        address.timeout_ms = 30000;
        begin(&attempt, &address);
        stream_want(attempt.stream, WATCH_READ | WATCH_WRITE);
        loop_run(attempt.loop);
        turn(attempt.loop);
        assert_int_equal(attempt.rc, cases[i].code);
        assert_non_null(strstr(attempt.text.text, cases[i].text));
        assert_int_equal(attempt.calls, 1);
        stream_want(attempt.stream, WATCH_READ); /* of no use, but allowed */
        stream_free(attempt.stream);
        loop_free(attempt.loop);
    }
    close(fd);
}

static void test_connect_timeout(void **state)
{
    (void)state;
    unsigned port;
    int fd = full_socket("127.0.0.1", &port);
    struct attempt attempt = {.loop = loop_new(&virtual_clock)};
    struct stream_address address = {.host = "127.0.0.1", .port = port, .timeout_ms = 700};
    begin(&attempt, &address);
    virtual_ms += 699;
    turn(attempt.loop);
    assert_int_equal(attempt.calls, 0);
    virtual_ms += 1;
    turn(attempt.loop);
    assert_int_equal(attempt.calls, 1);
    assert_int_equal(attempt.rc, ERR_TIMEOUT);
    assert_non_null(strstr(attempt.text.text, "no answer within 700 ms"));
    stream_free(attempt.stream);
    close(fd);
    loop_free(attempt.loop);
}

static void on_accept(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                      void *ctx)
{
    (void)listener, (void)peer, (void)peer_uid, (void)ctx;
    close(fd);
}

/* "two.test" is 127.0.0.2, then 127.0.0.1; all else is for the real one. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "two.test") != 0)
        return real(host, service, hints, ret);
    if (hints->ai_flags & AI_NUMERICHOST)
        return EAI_NONAME;
    int rc = real("127.0.0.2", service, hints, ret);
    return rc ? rc : real("127.0.0.1", service, hints, &(*ret)->ai_next);
}

static void test_connect_by_name_tries_all_addresses(void **state)
{
    (void)state;
    static const char *const names[] = {"two.test", "localhost", "two.test"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct attempt attempt = {.loop = loop_new(&clock_system), .frees = i == 2};
        struct listener *listener = NULL;
        unsigned port;
        assert_int_equal(listener_tcp(attempt.loop, "127.0.0.1", 0, false, on_accept, NULL,
                                      &listener, &port, NULL),
                         0);
        struct stream_address address = {.host = names[i], .port = port, .timeout_ms = 30000};
        begin(&attempt, &address);
        loop_run(attempt.loop);
        assert_int_equal(attempt.rc, 0);
        stream_free(attempt.stream);
        listener_free(listener);
        loop_free(attempt.loop);
    }
}

static void test_silent_address_leaves_time_for_the_next(void **state)
{
    (void)state;
    unsigned port;
    int silent = full_socket("127.0.0.2", &port);
    struct attempt attempt = {.loop = loop_new(&virtual_clock)};
    struct listener *listener = NULL;
    assert_int_equal(listener_tcp(attempt.loop, "127.0.0.1", port, false, on_accept, NULL,
                                  &listener, NULL, NULL),
                     0);
    struct stream_address address = {.host = "two.test", .port = port, .timeout_ms = 700};
    begin(&attempt, &address);
    while (stream_fd(attempt.stream) < 0)
        turn(attempt.loop);
    virtual_ms += 349;
    turn(attempt.loop);
    turn(attempt.loop);
    assert_int_equal(attempt.calls, 0);
    virtual_ms += 1;
    while (attempt.calls == 0)
        turn(attempt.loop);
    assert_int_equal(attempt.rc, 0);
    stream_free(attempt.stream);
    listener_free(listener);
    loop_free(attempt.loop);
    close(silent);
}

static void test_freed_while_connecting(void **state)
{
    (void)state;
    static const struct stream_address addresses[] = {
        {.host = "localhost", .port = 1, .timeout_ms = 30000},
        {.host = "127.0.0.1", .port = 1, .timeout_ms = 30000},
        {.unix_path = "/nowhere", .timeout_ms = 30000},
    };
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct attempt attempt = {.loop = loop_new(&clock_system)};
        begin(&attempt, &addresses[i]);
        stream_free(attempt.stream);
        turn(attempt.loop);
        loop_free(attempt.loop);
        assert_int_equal(attempt.calls, 0);
    }
}

static void test_resolving_may_time_out(void **state)
{
    (void)state;
    struct attempt attempt = {.loop = loop_new(&virtual_clock)};
    struct stream_address address = {.host = "localhost", .port = 1, .timeout_ms = 0};
    begin(&attempt, &address);
    while (attempt.calls == 0)
        loop_run(attempt.loop);
    assert_true(attempt.rc == ERR_TIMEOUT || attempt.rc == -ECONNREFUSED);
    stream_free(attempt.stream);
    loop_free(attempt.loop);
    assert_int_equal(attempt.calls, 1);
}

/* ---- reading and writing ---- */

struct end {
    struct loop *loop;
    struct stream *stream;
    unsigned events;
    unsigned calls;
    bool frees;
};

static void on_event(struct stream *stream, unsigned events, void *ctx)
{
    struct end *end = ctx;
    end->events |= events;
    end->calls++;
    if (end->frees)
        stream_free(TAKE(end->stream));
    else
        stream_want(stream, 0);
    loop_stop(end->loop);
}

/* Two ends of a TCP connection: a stream and a plain blocking descriptor. */
static int make_ends(struct end *end)
{
    unsigned port;
    int server = bound_socket("127.0.0.1", &port);
    assert_int_equal(listen(server, 1), 0);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &size), 0);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, size), 0);
    int fd = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(server);
    *end = (struct end){.loop = loop_new(&clock_system)};
    end->stream = stream_from_fd(end->loop, fd, on_event, end);
    assert_int_equal(stream_fd(end->stream), fd);
    return peer;
}

static void drop_ends(struct end *end, int peer)
{
    stream_free(end->stream);
    close(peer);
    loop_free(end->loop);
}

static ssize_t write_text(struct stream *stream, const char *text)
{
    auto_free char *copy = mem_strdup(text);
    struct iovec part = {copy, strlen(copy)};
    return stream_write(stream, &part, 1);
}

static void test_bytes_go_both_ways(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    char data[16] = {0}, one[] = "ab", two[] = "cde";
    assert_int_equal(stream_read(end.stream, data, sizeof data), -EAGAIN);
    struct iovec parts[] = {{one, 2}, {one, 0}, {two, 3}};
    assert_int_equal(stream_write(end.stream, parts, 3), 5);
    assert_int_equal(recv(peer, data, 5, MSG_WAITALL), 5);
    assert_string_equal(data, "abcde");
    assert_int_equal(write(peer, "xyz", 3), 3);
    stream_want(end.stream, WATCH_READ);
    loop_run(end.loop);
    assert_int_equal(end.events, WATCH_READ);
    assert_int_equal(stream_read(end.stream, data, sizeof data), 3);
    shutdown(peer, SHUT_WR);
    stream_want(end.stream, WATCH_HANGUP);
    loop_run(end.loop);
    assert_int_equal(end.events, WATCH_READ | WATCH_HANGUP);
    assert_int_equal(stream_read(end.stream, data, sizeof data), 0);
    drop_ends(&end, peer);
}

static void test_write_stops_when_the_socket_is_full(void **state)
{
    (void)state;
    enum { SIZE = 32 << 20 };
    struct end end;
    int peer = make_ends(&end);
    auto_free char *data = mem_alloc(SIZE);
    struct iovec part = {data, SIZE};
    ssize_t sent = stream_write(end.stream, &part, 1);
    assert_true(sent > 0 && sent < SIZE);
    while (stream_write(end.stream, &part, 1) > 0)
        ;
    stream_want(end.stream, WATCH_WRITE);
    turn(end.loop);
    assert_int_equal(end.calls, 0);
    for (size_t left = SIZE / 2; left > 0 && end.calls == 0;) {
        ssize_t n = recv(peer, data, left, MSG_DONTWAIT);
        left -= n > 0 ? (size_t)n : 0;
        turn(end.loop);
    }
    assert_int_equal(end.events, WATCH_WRITE);
    drop_ends(&end, peer);
}

static void test_writing_to_a_closed_peer_is_an_error(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    struct linger at_once = {.l_onoff = 1};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peer);
    stream_want(end.stream, WATCH_HANGUP);
    loop_run(end.loop);
    assert_int_equal(end.events, WATCH_HANGUP);
    ssize_t first = write_text(end.stream, "x");
    assert_true(first == -ECONNRESET || first == -EPIPE);
    assert_int_equal(write_text(end.stream, "x"), -EPIPE);
    stream_free(end.stream);
    loop_free(end.loop);
}

static void test_stale(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    assert_false(stream_is_stale(end.stream));
    assert_int_equal(write(peer, "x", 1), 1);
    stream_want(end.stream, WATCH_READ);
    loop_run(end.loop);
    assert_true(stream_is_stale(end.stream));
    char byte;
    assert_int_equal(stream_read(end.stream, &byte, 1), 1);
    assert_false(stream_is_stale(end.stream));
    shutdown(peer, SHUT_WR);
    stream_want(end.stream, WATCH_READ);
    loop_run(end.loop);
    assert_true(stream_is_stale(end.stream));
    drop_ends(&end, peer);
}

static void test_free_ends_and_reset_breaks(void **state)
{
    (void)state;
    for (int resets = 0; resets < 2; resets++) {
        struct end end;
        int peer = make_ends(&end);
        if (resets)
            stream_reset(TAKE(end.stream));
        else
            stream_free(TAKE(end.stream));
        char byte;
        ssize_t n = read(peer, &byte, 1);
        assert_int_equal(n < 0 ? -errno : n, resets ? -ECONNRESET : 0);
        drop_ends(&end, peer);
    }
    stream_free(NULL);
    stream_reset(NULL);
}

static void test_stream_freed_in_its_callback(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    end.frees = true;
    assert_int_equal(write(peer, "x", 1), 1);
    stream_want(end.stream, WATCH_READ | WATCH_WRITE | WATCH_HANGUP);
    loop_run(end.loop);
    turn(end.loop);
    assert_int_equal(end.calls, 1);
    drop_ends(&end, peer);
}

static void on_other_event(struct stream *stream, unsigned events, void *ctx)
{
    (void)stream, (void)events;
    struct end *end = ctx;
    end->calls += 100;
    loop_stop(end->loop);
}

static void test_events_go_to_the_new_owner(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    stream_want(end.stream, WATCH_WRITE);
    stream_set_owner(end.stream, on_other_event, &end);
    loop_run(end.loop);
    assert_int_equal(end.calls, 100);
    drop_ends(&end, peer);
}

static int number_option(const struct stream *stream, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(stream_fd(stream), level, option, &value, &size), 0);
    return value;
}

static void check_probed(const struct stream *stream)
{
    assert_int_equal(number_option(stream, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(number_option(stream, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(number_option(stream, IPPROTO_TCP, TCP_KEEPIDLE), STREAM_PROBE_IDLE_S);
    assert_int_equal(number_option(stream, IPPROTO_TCP, TCP_KEEPINTVL), STREAM_PROBE_INTERVAL_S);
    assert_int_equal(number_option(stream, IPPROTO_TCP, TCP_KEEPCNT), STREAM_PROBE_COUNT);
}

static void test_peers_are_probed(void **state)
{
    (void)state;
    struct end end;
    int peer = make_ends(&end);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&own, &size), 0);
    struct attempt attempt = {.loop = end.loop};
    struct stream_address address = {
        .host = "127.0.0.1", .port = ntohs(own.sin_port), .timeout_ms = 1000};
    begin(&attempt, &address);
    while (attempt.calls == 0)
        turn(end.loop);
    assert_int_equal(attempt.rc, 0);
    check_probed(attempt.stream);
    assert_int_equal(number_option(attempt.stream, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    stream_free(attempt.stream);
    close(server);
    drop_ends(&end, peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_failures_are_told_later_and_name_the_address),
        cmocka_unit_test(test_connect_timeout),
        cmocka_unit_test(test_connect_by_name_tries_all_addresses),
        cmocka_unit_test(test_silent_address_leaves_time_for_the_next),
        cmocka_unit_test(test_freed_while_connecting),
        cmocka_unit_test(test_resolving_may_time_out),
        cmocka_unit_test(test_bytes_go_both_ways),
        cmocka_unit_test(test_write_stops_when_the_socket_is_full),
        cmocka_unit_test(test_writing_to_a_closed_peer_is_an_error),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_free_ends_and_reset_breaks),
        cmocka_unit_test(test_stream_freed_in_its_callback),
        cmocka_unit_test(test_events_go_to_the_new_owner),
        cmocka_unit_test(test_peers_are_probed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
