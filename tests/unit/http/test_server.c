/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "wire.h"

#include <stdio.h>

#define D "Date: " WIRE_DATE "\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\n" D "Content-Length: " #length "\r\n\r\n" body
#define LAST(length, body)                                                                         \
    "HTTP/1.1 200 OK\r\n" D "Content-Length: " #length "\r\nConnection: close\r\n\r\n" body
#define CHUNKED "HTTP/1.1 200 OK\r\n" D "Transfer-Encoding: chunked\r\n\r\n"
#define H "Host: a\r\n"

static struct loop *loop;
static struct http_server *server;
static unsigned port;
static struct buf trace;           /* callbacks in order: "r" request, "b" body, "e" end, "d" drain,
                                      "c" close, "g" close because the client is gone */
static struct http_exchange *last; /* the latest exchange, NULL once closed */
static struct buf body;            /* its request body so far */
static size_t body_bytes;          /* counted where the body isn't kept */

/* ---- handlers, chosen by path ---- */

static void on_body(struct http_exchange *ex, struct str data, void *ctx)
{
    buf_add_char(&trace, 'b');
    buf_add_str(&body, data);
    body_bytes += data.len;
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    buf_add_char(&trace, gone ? 'g' : 'c');
    if (ex == last)
        last = NULL;
    http_reply(ex, 500, NULL, 0, STR("a call after the end does nothing"));
}

static void on_end_echo(struct http_exchange *ex, void *ctx)
{
    buf_add_char(&trace, 'e');
    http_reply(ex, 200, NULL, 0, buf_str(&body));
}

static void on_end_stream(struct http_exchange *ex, void *ctx)
{
    buf_add_char(&trace, 'e');
    http_reply_start(ex, 200, NULL, 0, -1);
    http_reply_write(ex, STR("one"));
    http_reply_write(ex, STR(""));
    http_reply_write(ex, STR("two"));
    http_reply_end(ex);
}

static void on_end_wait(struct http_exchange *ex, void *ctx)
{
    buf_add_char(&trace, 'e');
}

static void on_drain(struct http_exchange *ex, void *ctx)
{
    buf_add_char(&trace, 'd');
}

static void on_body_reply(struct http_exchange *ex, struct str data, void *ctx)
{
    buf_add_char(&trace, 'b');
    http_reply(ex, 200, NULL, 0, STR("early"));
}

static void on_body_pause(struct http_exchange *ex, struct str data, void *ctx)
{
    body_bytes += data.len;
    http_exchange_pause(ex);
}

static const struct http_exchange_ops echo_ops = {on_body, on_end_echo, NULL, NULL, on_close};
static const struct http_exchange_ops stream_ops = {on_body, on_end_stream, NULL, NULL, on_close};
static const struct http_exchange_ops wait_ops = {on_body, on_end_wait, NULL, on_drain, on_close};
static const struct http_exchange_ops early_ops = {on_body_reply, on_end_wait, NULL, NULL,
                                                   on_close};
static const struct http_exchange_ops pause_ops = {on_body_pause, on_end_wait, NULL, NULL,
                                                   on_close};

static void start_hello(struct http_exchange *ex)
{
    http_reply(ex, 200, NULL, 0, STR("hello"));
}

static void start_paused(struct http_exchange *ex)
{
    http_exchange_pause(ex);
}

static void start_headers(struct http_exchange *ex)
{
    const struct http_header headers[] = {
        {STR("X-A"), STR("b")},
        {STR("X-Split"), STR("b\r\nX-Evil: 1")},
        {STR("date"), STR("mine")},
    };
    http_reply(ex, 404, headers, ARRAY_LEN(headers), STR(""));
}

static void start_none(struct http_exchange *ex)
{
    http_reply(ex, 204, NULL, 0, STR(""));
}

static void start_short(struct http_exchange *ex)
{
    http_reply_start(ex, 200, NULL, 0, 10);
    http_reply_write(ex, STR("short"));
    http_reply_end(ex);
}

static const struct {
    const char *path;
    const struct http_exchange_ops *ops;
    void (*start)(struct http_exchange *ex);
} handlers[] = {
    {"/echo", &echo_ops, NULL},           {"/stream", &stream_ops, NULL},
    {"/wait", &wait_ops, NULL},           {"/early", &early_ops, NULL},
    {"/paused", &echo_ops, start_paused}, {"/hold", &pause_ops, NULL},
    {"/hello", &wait_ops, start_hello},   {"/headers", &wait_ops, start_headers},
    {"/none", &wait_ops, start_none},     {"/short", &wait_ops, start_short},
};

static void on_request(struct http_exchange *ex, void *ctx)
{
    buf_add_char(&trace, 'r');
    buf_clear(&body);
    last = ex;
    struct str path = http_exchange_head(ex)->path;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
        if (str_eq(path, str_of(handlers[i].path))) {
            http_exchange_set_ops(ex, handlers[i].ops, NULL);
            if (handlers[i].start)
                handlers[i].start(ex);
        }
}

/* ---- fixture ---- */

static int setup(void **state)
{
    wire_begin();
    loop = loop_new(&wire_clock);
    server = http_server_new(loop, on_request, NULL);
    port = (unsigned)http_server_listen_tcp(server, "127.0.0.1", 0, false, NULL);
    buf_clear(&trace);
    body_bytes = 0;
    return 0;
}

static int teardown(void **state)
{
    http_server_free(server);
    loop_free(loop);
    buf_fini(&trace);
    buf_fini(&body);
    return 0;
}

static void expect_trace(const char *want)
{
    assert_string_equal(trace.ptr ? trace.ptr : "", want);
    buf_clear(&trace);
}

static int client_sends(const char *text)
{
    int fd = wire_connect(port);
    wire_send(loop, fd, str_of(text));
    return fd;
}

/* ---- bytes in, bytes out ---- */

static const struct {
    const char *in, *out;
    bool closes;
    const char *trace;
} dialogues[] = {
    {"GET /hello HTTP/1.1\r\n" H "\r\n", OK(5, "hello"), false, "rc"},
    {"\r\nGET /hello HTTP/1.1\r\n" H "\r\n", OK(5, "hello"), false, "rc"},
    {"GET http://a/hello?x HTTP/1.1\r\n" H "\r\n", OK(5, "hello"), false, "rc"},
    {"GET /echo HTTP/1.1\r\n" H "\r\n", OK(0, ""), false, "rec"},
    {"GET /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\n", LAST(5, "hello"), true, "rc"},
    {"GET /hello HTTP/1.0\r\n\r\n", LAST(5, "hello"), true, "rc"},
    {"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\n" D "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", false,
     "rc"},
    {"HEAD /hello HTTP/1.1\r\n" H "\r\n", OK(5, ""), false, "rc"},
    {"HEAD /stream HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n" D "\r\n", false, "rec"},
    {"GET /none HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 204 No Content\r\n" D "\r\n", false, "rc"},
    {"GET /headers HTTP/1.1\r\n" H "\r\n",
     "HTTP/1.1 404 Not Found\r\nX-A: b\r\ndate: mine\r\nContent-Length: 0\r\n\r\n", false, "rc"},
    {"GET /stream HTTP/1.1\r\n" H "\r\n", CHUNKED "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", false,
     "rec"},
    {"GET /stream HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" D "Connection: close\r\n\r\nonetwo",
     true, "rec"},
    {"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\n" D "Connection: close\r\n\r\nonetwo", true, "rec"},
    {"GET /short HTTP/1.1\r\n" H "\r\n", OK(10, "short"), true, "rg"},
    /* pipelining */
    {"GET /hello HTTP/1.1\r\n" H "\r\nGET /echo HTTP/1.1\r\n" H "\r\nHEAD /hello HTTP/1.1\r\n" H
     "\r\n",
     OK(5, "hello") OK(0, "") OK(5, ""), false, "rcrecrc"},
    {"GET /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /hello HTTP/1.1\r\n" H "\r\n",
     LAST(5, "hello"), true, "rc"},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\n" H "\r\n",
     OK(3, "abc") OK(5, "hello"), false, "rbecrc"},
    /* bodies */
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", OK(0, ""), false, "rec"},
    {"POST /echo HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n",
     OK(5, "abcde"), false, "rbbec"},
    {"POST /hello HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\n" H "\r\n",
     OK(5, "hello") OK(5, "hello"), false, "rcrc"},
    {"POST /early HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
     "GET /hello HTTP/1.1\r\n" H "\r\n",
     OK(5, "early") OK(5, "hello"), false, "rbcrc"},
    {"POST /hello HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\nabc", LAST(5, "hello"), true,
     "rc"},
    /* Expect */
    {"POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
     "HTTP/1.1 100 Continue\r\n\r\n", false, "r"},
    {"POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
     OK(3, "abc"), false, "rbec"},
    {"GET /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n", OK(0, ""), false, "rec"},
    {"POST /paused HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "", false,
     "r"},
    {"POST /hello HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
     LAST(5, "hello"), true, "rc"},
};

static void test_dialogues(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(dialogues); i++) {
        buf_clear(&trace);
        wire_about = dialogues[i].in;
        int fd = client_sends(dialogues[i].in);
        wire_expect(loop, fd, dialogues[i].out);
        if (dialogues[i].closes)
            wire_expect_end(loop, fd);
        else
            wire_expect_silence(loop, fd);
        expect_trace(dialogues[i].trace);
        close(fd);
        WIRE_UNTIL(loop, http_server_active(server) == 0);
    }
}

static void test_dialogues_byte_by_byte(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(dialogues); i++) {
        if (strstr(dialogues[i].in, "Expect"))
            continue; /* the answer depends on what has come already */
        wire_about = dialogues[i].in;
        int fd = wire_connect(port);
        for (const char *p = dialogues[i].in; *p && !(last == NULL && dialogues[i].closes &&
                                                      strchr(trace.ptr ? trace.ptr : "", 'c'));
             p++) {
            if (send(fd, p, 1, MSG_NOSIGNAL) < 0)
                break;
            wire_turn(loop);
        }
        wire_expect(loop, fd, dialogues[i].out);
        buf_clear(&trace);
        close(fd);
        WIRE_UNTIL(loop, http_server_active(server) == 0);
        buf_clear(&trace);
    }
}

/* ---- what is refused ---- */

static const struct {
    const char *in;
    unsigned status;
    const char *reason;
} refused[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400, "BadRequest"},
    {"GET / HTTP/1.1\n" H "\n", 400, "BadRequest"},
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400, "BadRequest"},
    {"GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", 400, "BadRequest"},
    {"GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400, "BadRequest"},
    {"GET / HTTP/1.1\r\n" H "A: b\rTransfer-Encoding: chunked\r\n\r\n", 400, "BadRequest"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
     "BadRequest"},
    {"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, "BadRequest"},
    {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, "BadRequest"},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n", 400,
     "BadRequest"},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n", 400,
     "BadRequest"},
    {"BREW / HTTP/1.1\r\n" H "\r\n", 501, "NotImplemented"},
    {"CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 501, "NotImplemented"},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505, "HTTPVersionNotSupported"},
};

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        auto_free char *in = mem_printf("%sGET /hello HTTP/1.1\r\n" H "\r\n", refused[i].in);
        int fd = client_sends(in);
        struct buf got = {0};
        WIRE_UNTIL(loop, wire_read(fd, &got) == 0);
        auto_free char *first = mem_printf("HTTP/1.1 %u ", refused[i].status);
        auto_free char *text = mem_printf("\r\n\r\n{\"code\":%u,\"reason\":\"%s\",\"message\":\"",
                                          refused[i].status, refused[i].reason);
        assert_true(str_has_prefix(buf_str(&got), str_of(first)));
        assert_non_null(strstr(got.ptr, text));
        assert_non_null(strstr(got.ptr, "Connection: close\r\n"));
        assert_null(strstr(got.ptr, "hello"));
        buf_fini(&got);
        close(fd);
    }
    assert_null(strchr(trace.ptr, 'c'));
}

static void test_large_head_is_431(void **state)
{
    auto_free char *fill = mem_alloc(HTTP_HEAD_MAX + 1);
    memset(fill, 'x', HTTP_HEAD_MAX);
    auto_free char *in = mem_printf("GET / HTTP/1.1\r\nA: %s", fill);
    int fd = client_sends(in);
    struct buf got = {0};
    wire_read_to_end(loop, fd, &got);
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 431 ")));
    buf_fini(&got);
    close(fd);
}

/* ---- the client leaves ---- */

static void test_client_gone_in_each_phase(void **state)
{
    static const struct {
        const char *in, *before, *after;
    } rows[] = {
        {"", "", ""},
        {"GET /wa", "", ""},
        {"POST /wait HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc", "rb", "g"},
        {"POST /hold HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc", "r", "g"},
        {"POST /paused HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc", "r", "g"},
        {"GET /wait HTTP/1.1\r\n" H "\r\n", "re", "g"},
        {"GET /wait HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n", "re", "g"},
    };
    for (int way = 0; way < 3; way++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            int fd = client_sends(rows[i].in);
            wire_settle(loop);
            expect_trace(rows[i].before);
            if (way == 0)
                shutdown(fd, SHUT_WR);
            else if (way == 1)
                wire_reset(fd);
            else
                close(fd);
            wire_turn(loop);
            wire_turn(loop);
            expect_trace(rows[i].after);
            if (way == 0)
                close(fd);
        }
}

static void test_gone_while_streaming(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1);
    http_reply_write(last, STR("abc"));
    wire_expect(loop, fd, CHUNKED "3\r\nabc\r\n");
    close(fd);
    WIRE_UNTIL(loop, !last);
    expect_trace("reg");
}

static void test_reply_to_pending_exchange(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    assert_string_equal(http_exchange_peer(last), "127.0.0.1");
    assert_int_equal(http_exchange_peer_uid(last), -1);
    http_reply(last, 200, NULL, 0, STR("late"));
    assert_non_null(last); /* no callback from inside the call */
    WIRE_UNTIL(loop, !last);
    wire_expect(loop, fd, OK(4, "late"));
    expect_trace("rec");
    close(fd);
}

static void test_each_piece_leaves_at_once(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1);
    wire_expect(loop, fd, CHUNKED); /* by the end of the turn, without a body */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_reply_write(last, STR("piece")), 0);
        wire_expect(loop, fd, "5\r\npiece\r\n");
    }
    http_reply_end(last);
    wire_expect(loop, fd, "0\r\n\r\n");
    close(fd);
}

static void test_abort(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1);
    http_reply_write(last, STR("abc"));
    http_exchange_abort(last);
    struct buf got = {0};
    assert_true(wire_read_to_end(loop, fd, &got));
    assert_string_equal(got.ptr, CHUNKED "3\r\nabc\r\n");
    expect_trace("reg");
    close(fd);

    fd = client_sends("GET /wait HTTP/1.0\r\n\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1);
    http_reply_write(last, STR("abc"));
    http_exchange_abort(last);
    buf_clear(&got);
    assert_false(wire_read_to_end(loop, fd, &got)); /* else it would look complete */
    buf_fini(&got);
    close(fd);
}

/* ---- back-pressure ---- */

static void test_big_body_with_pause(void **state)
{
    enum { BODY = 4 << 20 };
    int fd = client_sends("POST /hold HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n");
    auto_free char *data = mem_alloc(BODY);
    struct str rest = str_sub(data, BODY);
    int pauses = 0;
    while (body_bytes < BODY) {
        ssize_t n = rest.len ? send(fd, rest.ptr, rest.len, MSG_NOSIGNAL) : 0;
        rest = str_skip(rest, n > 0 ? (size_t)n : 0);
        size_t before = body_bytes;
        WIRE_UNTIL(loop, body_bytes > before);
        before = body_bytes;
        wire_settle(loop);
        assert_int_equal(body_bytes, before); /* nothing comes while paused */
        assert_int_equal(strcmp(trace.ptr, "r"), 0);
        http_exchange_resume(last);
        pauses++;
    }
    assert_true(pauses >= BODY / (64 << 10));
    WIRE_UNTIL(loop, strcmp(trace.ptr, "re") == 0);
    http_reply(last, 200, NULL, 0, STR(""));
    wire_expect(loop, fd, OK(0, ""));
    close(fd);
}

static void test_slow_reader_and_drain(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    auto_free char *piece = mem_alloc(65536);
    http_reply_start(last, 200, NULL, 0, -1);
    size_t written = 0;
    while (http_reply_write(last, str_sub(piece, 65536)) <= HTTP_HIGH_WATER)
        written += 65536;
    wire_settle(loop);
    expect_trace("re");
    struct buf got = {0};
    while (strcmp(trace.ptr, "d") != 0) {
        wire_read(fd, &got);
        wire_turn(loop);
    }
    http_reply_end(last);
    wire_read_until(loop, fd, &got, "\r\n0\r\n\r\n");
    assert_true(got.len > written);
    WIRE_UNTIL(loop, !last);
    expect_trace("dc");
    buf_fini(&got);
    close(fd);
}

static void test_reader_that_takes_nothing_is_cut(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    auto_free char *piece = mem_alloc(65536);
    http_reply_start(last, 200, NULL, 0, -1);
    while (http_reply_write(last, str_sub(piece, 65536)) <= HTTP_HIGH_WATER)
        continue;
    wire_advance(loop, HTTP_BODY_STALL_MS - 1);
    expect_trace("re");
    wire_advance(loop, 1);
    expect_trace("g");
    close(fd);
}

static void test_pipelined_input_is_bounded(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    auto_free char *fill = mem_alloc(1 << 20);
    memset(fill, '\n', 1 << 20);
    size_t sent = 0;
    for (int idle = 0; idle < 50; idle++) {
        ssize_t n = send(fd, fill, 1 << 20, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n, idle = 0;
        assert_true(sent < 32 << 20);
        wire_turn(loop);
    }
    wire_reset(fd); /* still seen while nothing is read */
    WIRE_UNTIL(loop, !last);
    expect_trace("reg");
}

static void test_unwanted_body_is_dropped_up_to_a_limit(void **state)
{
    auto_free char *fill = mem_alloc(900 << 10);
    int fd = client_sends("POST /hello HTTP/1.1\r\n" H "Content-Length: 921600\r\n\r\n");
    wire_send(loop, fd, str_sub(fill, 900 << 10));
    wire_send(loop, fd, STR("GET /hello HTTP/1.1\r\n" H "\r\n"));
    wire_expect(loop, fd, OK(5, "hello") OK(5, "hello"));
    close(fd);

    fd = client_sends("POST /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n200000\r\n");
    struct buf got = {0};
    size_t sent = 0;
    for (;;) {
        ssize_t n = send(fd, fill, 65536, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        if (sent > 2 << 20 || wire_read(fd, &got) == 0)
            break;
        wire_turn(loop);
    }
    assert_string_equal(got.ptr, OK(5, "hello"));
    assert_true(sent > 1 << 20);
    buf_fini(&got);
    close(fd);
}

/* A client that is still at its body when the reply comes, and reads it afterwards only. */
static void test_reply_waits_for_who_still_writes(void **state)
{
    enum { BODY = 8 << 20 };
    auto_free char *fill = mem_alloc(BODY);
    int fd = client_sends("POST /hello HTTP/1.1\r\n" H "Content-Length: 8388608\r\n\r\n");
    struct buf got = {0};
    wire_send(loop, fd, str_sub(fill, BODY));
    assert_true(wire_read_to_end(loop, fd, &got));
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 200 OK\r\n")));
    assert_true(str_has_suffix(buf_str(&got), STR("hello")));
    wire_advance(loop, 2000); /* the end of lingering */
    buf_fini(&got);
    close(fd);
}

/* ---- time ---- */

static void test_head_timeout(void **state)
{
    int fd = client_sends("GET /hel");
    wire_settle(loop);
    wire_advance(loop, HTTP_HEAD_TIMEOUT_MS - 1);
    wire_send(loop, fd, STR("lo")); /* a trickle doesn't help */
    wire_expect_silence(loop, fd);
    wire_advance(loop, 1);
    struct buf got = {0};
    wire_read_until(loop, fd, &got, "\"}");
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 408 ")));
    assert_true(wire_read_to_end(loop, fd, &got));
    wire_advance(loop, 10000); /* the end of lingering */
    buf_fini(&got);
    close(fd);
}

static void test_idle_timeout(void **state)
{
    int fd = client_sends("GET /hello HTTP/1.1\r\n" H "\r\n");
    wire_expect(loop, fd, OK(5, "hello"));
    wire_advance(loop, HTTP_IDLE_TIMEOUT_MS - 1);
    wire_expect_silence(loop, fd);
    wire_advance(loop, 1);
    wire_expect_end(loop, fd);
    close(fd);
}

static void test_body_stall(void **state)
{
    static const char piece[HTTP_PROGRESS_MIN];
    int fd = client_sends("POST /wait HTTP/1.1\r\n" H "Content-Length: 9999\r\n\r\nabc");
    wire_settle(loop);
    wire_advance(loop, HTTP_BODY_STALL_MS - 1);
    wire_send(loop, fd, str_sub(piece, sizeof piece));
    wire_settle(loop);
    wire_advance(loop, HTTP_BODY_STALL_MS - 1);
    expect_trace("rbb");
    wire_advance(loop, 1);
    expect_trace("g");
    close(fd);
}

static void test_no_timeout_while_handler_works(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    wire_advance(loop, 1000000);
    http_reply_start(last, 200, NULL, 0, -1);
    http_reply_write(last, STR("a"));
    wire_advance(loop, 1000000);
    http_reply_write(last, STR("b"));
    http_reply_end(last);
    wire_expect(loop, fd, CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    close(fd);

    fd = client_sends("POST /paused HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n");
    wire_settle(loop);
    wire_advance(loop, 1000000);
    http_exchange_resume(last);
    wire_settle(loop);
    wire_send(loop, fd, STR("abc"));
    wire_expect(loop, fd, OK(3, "abc"));
    close(fd);
}

/* ---- the server as a whole ---- */

static void test_drain(void **state)
{
    int idle = client_sends("GET /hello HTTP/1.1\r\n" H "\r\n");
    wire_expect(loop, idle, OK(5, "hello"));
    int busy = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    assert_int_equal(http_server_active(server), 1);
    http_server_drain(server);
    wire_expect_end(loop, idle);
    wire_expect_silence(loop, busy);
    http_reply(last, 200, NULL, 0, STR("bye"));
    wire_expect(loop, busy, LAST(3, "bye"));
    wire_expect_end(loop, busy);
    assert_int_equal(http_server_active(server), 0);
    assert_int_equal(wire_try_connect(port), -ECONNREFUSED);
    close(idle);
    close(busy);
}

static void test_drain_during_a_response(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1);
    wire_expect(loop, fd, CHUNKED); /* promises to keep the connection */
    http_server_drain(server);
    wire_expect_silence(loop, fd);
    http_reply_end(last);
    wire_expect(loop, fd, "0\r\n\r\n");
    wire_expect_end(loop, fd);
    expect_trace("rec");
    close(fd);
}

static void test_free_closes_exchanges(void **state)
{
    int fd = client_sends("GET /wait HTTP/1.1\r\n" H "\r\n");
    WIRE_UNTIL(loop, last);
    http_reply_start(last, 200, NULL, 0, -1); /* leaves a sweep behind */
    http_server_free(server);
    server = NULL;
    expect_trace("reg");
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogues), TEST(test_dialogues_byte_by_byte), TEST(test_refusals),
        TEST(test_large_head_is_431), TEST(test_client_gone_in_each_phase),
        TEST(test_gone_while_streaming), TEST(test_reply_to_pending_exchange),
        TEST(test_each_piece_leaves_at_once), TEST(test_abort), TEST(test_big_body_with_pause),
        TEST(test_slow_reader_and_drain), TEST(test_reader_that_takes_nothing_is_cut),
        TEST(test_pipelined_input_is_bounded), TEST(test_unwanted_body_is_dropped_up_to_a_limit),
        TEST(test_reply_waits_for_who_still_writes), TEST(test_head_timeout),
        TEST(test_idle_timeout), TEST(test_body_stall), TEST(test_no_timeout_while_handler_works),
        TEST(test_drain), TEST(test_drain_during_a_response), TEST(test_free_closes_exchanges),

    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
