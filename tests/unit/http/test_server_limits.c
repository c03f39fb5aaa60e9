/* SPDX-License-Identifier: Apache-2.0 */
/* A server with too many connections, in a process without descriptors, with clients that trickle.
 */
#include "http/server.h"

#include "wire.h"

#include <stdio.h>
#include <sys/resource.h>

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define WAIT "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
#define REPLY "HTTP/1.1 200 OK\r\nDate: " WIRE_DATE "\r\nContent-Length: 2\r\n\r\nok"

static struct loop *loop;
static struct http_server *server;
static unsigned port, troubles;
static char trouble[600];
static struct http_exchange *waiting[8];
static unsigned waiting_count;

static void on_request(struct http_exchange *ex, void *ctx)
{
    if (str_eq(http_exchange_head(ex)->path, STR("/wait")))
        waiting[waiting_count++] = ex;
    else
        http_reply(ex, 200, NULL, 0, STR("ok"));
}

static void on_trouble(const char *text, void *ctx)
{
    troubles++;
    snprintf(trouble, sizeof trouble, "%s", text);
}

static int set_up(void **state)
{
    wire_begin();
    loop = loop_new(&wire_clock);
    server = http_server_new(loop, on_request, NULL);
    http_server_set_on_trouble(server, on_trouble, NULL);
    int rc = http_server_listen_tcp(server, "127.0.0.1", 0, false, NULL);
    port = rc > 0 ? (unsigned)rc : 0;
    troubles = waiting_count = 0;
    wire_mono_ms += 1000000;
    return rc > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    http_server_free(server);
    loop_free(loop);
    return 0;
}

static unsigned open_count(void)
{
    unsigned connections, idle;
    http_server_count(server, &connections, &idle);
    return connections;
}

/* A connection on which a request has been answered, or on which one waits. */
static int connect_with(const char *request)
{
    unsigned waited = waiting_count;
    int fd = wire_connect(port);
    wire_send(loop, fd, str_of(request));
    if (strcmp(request, GET) == 0)
        wire_expect(loop, fd, REPLY);
    else
        WIRE_UNTIL(loop, waiting_count > waited);
    return fd;
}

static void test_longest_idle_one_makes_room(void **state)
{
    int fds[5];
    http_server_set_connections_max(server, 4);
    for (int i = 0; i < 4; i++)
        fds[i] = connect_with(i == 1 ? WAIT : GET);
    wire_send(loop, fds[0], STR(GET)); /* idles anew: now the third is the longest */
    wire_expect(loop, fds[0], REPLY);
    fds[4] = connect_with(GET);
    wire_expect_end(loop, fds[2]);
    wire_expect_silence(loop, fds[0]);
    wire_expect_silence(loop, fds[1]);
    assert_int_equal(open_count(), 4);
    assert_int_equal(troubles, 0);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

static void test_all_busy(void **state)
{
    int fds[2], refused;
    http_server_set_connections_max(server, 2);
    for (int i = 0; i < 2; i++)
        fds[i] = connect_with(WAIT);
    for (int i = 0; i < 3; i++) {
        refused = wire_connect(port);
        wire_expect_end(loop, refused);
        close(refused);
    }
    assert_int_equal(troubles, 1); /* told once */
    assert_non_null(strstr(trouble, "all 2 connections that may be open are busy"));
    wire_advance(loop, 30001);
    refused = wire_connect(port);
    wire_expect_end(loop, refused);
    close(refused);
    assert_int_equal(troubles, 2); /* a new episode */
    http_reply(waiting[0], 200, NULL, 0, STR("ok"));
    wire_expect(loop, fds[0], REPLY);
    wire_settle(loop);
    close(connect_with(GET)); /* in the place of the one that now idles */
    for (int i = 0; i < 2; i++)
        close(fds[i]);
}

/* No descriptor above those in use. */
static struct rlimit use_up_descriptors(void)
{
    struct rlimit old, none;
    int lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return old;
}

static void test_no_descriptors_but_an_idle_connection(void **state)
{
    int idle = connect_with(GET), fd = wire_connect(port);
    struct rlimit old = use_up_descriptors();
    wire_send(loop, fd, STR(GET));
    wire_expect(loop, fd, REPLY); /* the clock stands still: nothing had to be waited for */
    wire_expect_end(loop, idle);
    assert_int_equal(troubles, 1);
    assert_non_null(strstr(trouble, "Too many open files"));
    setrlimit(RLIMIT_NOFILE, &old);
    close(idle);
    close(fd);
}

static void test_no_descriptors_until_a_connection_ends(void **state)
{
    int busy = connect_with(WAIT), fd = wire_connect(port);
    struct rlimit old = use_up_descriptors();
    wire_send(loop, fd, STR(GET));
    wire_expect_silence(loop, fd);
    for (int i = 0; i < 3; i++) {
        wire_advance(loop, 100); /* tried again, in vain */
        wire_expect_silence(loop, fd);
    }
    assert_int_equal(troubles, 1);
    http_exchange_abort(waiting[0]);
    wire_expect(loop, fd, REPLY);
    setrlimit(RLIMIT_NOFILE, &old);
    close(busy);
    close(fd);
}

/* A byte a second is no progress, however long it goes on. */
static void test_body_in_a_trickle(void **state)
{
    int fd = connect_with("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n");
    for (int s = 1; s < HTTP_BODY_STALL_MS / 1000; s++) {
        wire_send(loop, fd, STR("x"));
        wire_advance(loop, 1000);
    }
    assert_int_equal(open_count(), 1);
    wire_advance(loop, 1000);
    assert_int_equal(open_count(), 0);
    close(fd);
}

/* Sends `size` bytes of nothing; false when the connection broke before. */
static bool send_all(int fd, size_t size)
{
    auto_free char *fill = mem_alloc(65536);
    while (size > 0) {
        ssize_t n = send(fd, fill, size < 65536 ? size : 65536, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        size -= n > 0 ? (size_t)n : 0;
        wire_turn(loop);
    }
    return true;
}

/* An early reply has been made to it. */
static int client_with_large_body(void)
{
    int fd = wire_connect(port);
    wire_send(loop, fd, STR("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n"));
    return fd;
}

/* A client that reads nothing before it has sent all gets its answer, but not for ever. */
static void test_a_reply_outlasts_a_large_body(void **state)
{
    int fd = client_with_large_body();
    struct buf got = {0};
    assert_true(send_all(fd, 32 << 20));
    assert_true(wire_read_to_end(loop, fd, &got));
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 200 OK")));
    buf_fini(&got);
    close(fd);
    fd = client_with_large_body();
    assert_true(send_all(fd, 2 << 20));
    wire_settle(loop);
    wire_advance(loop, 9999);
    assert_true(send_all(fd, 4096));
    wire_advance(loop, 1); /* what comes meanwhile is no reason to wait longer */
    for (int turns = 0; send_all(fd, 4096); turns++)
        assert_true(turns < 1000);
    close(fd);
}

#define LIMIT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMIT_TEST(test_longest_idle_one_makes_room),
        LIMIT_TEST(test_all_busy),
        LIMIT_TEST(test_no_descriptors_but_an_idle_connection),
        LIMIT_TEST(test_no_descriptors_until_a_connection_ends),
        LIMIT_TEST(test_body_in_a_trickle),
        LIMIT_TEST(test_a_reply_outlasts_a_large_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
