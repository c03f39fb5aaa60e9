/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "client_fixture.h"

/* ---- requests ---- */

static void test_request_is_written_right(void **state)
{
    (void)state;
    static const struct http_header headers[] = {{STR("A"), STR("b")}, {STR("C"), STR("d e")}};
    const struct {
        enum http_method method;
        unsigned header_count;
        struct str body;
        const char *expected;
    } cases[] = {
        {HTTP_GET, 0, {0}, "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n"},
        {HTTP_GET, 2, {0}, "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nA: b\r\nC: d e\r\n\r\n"},
        {HTTP_POST,
         0,
         {0},
         "POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 0\r\n\r\n"},
        {HTTP_PUT, 0, STR("abc"),
         "PUT /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 3\r\n\r\nabc"},
        {HTTP_DELETE, 0, {0}, "DELETE /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n"},
    };
    static const struct reply replies[] = {{.bytes = OK, .closes = true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct record record;
        set_up(&f, replies, 1);
        struct http_call_params params = get(&f);
        params.method = cases[i].method;
        params.headers = headers;
        params.header_count = cases[i].header_count;
        params.body = http_body_of(cases[i].body);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        const char *at = strstr(cases[i].expected, "PORT");
        auto_free char *expected = mem_printf("%.*s%u%s", (int)(at - cases[i].expected),
                                              cases[i].expected, f.server.port, at + 4);
        assert_string_equal(f.server.seen.ptr, expected);
        tear_down(&f);
    }
}

static void test_request_that_would_smuggle_is_refused(void **state)
{
    (void)state;
    const struct {
        struct str path;
        struct http_header header;
    } cases[] = {
        {STR("/a b"), {STR("A"), STR("b")}},      {STR("/a\r\nB: c"), {STR("A"), STR("b")}},
        {STR("http"), {STR("A"), STR("b")}},      {STR("/"), {STR("A:"), STR("b")}},
        {STR("/"), {STR("A"), STR("b\r\nC: d")}}, {STR("/"), {STR(""), STR("b")}},
        {STR(""), {STR("A"), STR("b")}},          {STR("/"), {STR("A"), STR("b\0c")}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct record record;
        set_up(&f, NULL, 0);
        struct http_call_params params = get(&f);
        params.path = cases[i].path;
        params.headers = &cases[i].header;
        params.header_count = 1;
        start(&f, &record, &params);
        http_call_pause(record.call); /* must not keep the error back */
        RUN_UNTIL(f.loop, is_over(&record));
        assert_int_equal(record.code, ERR_INVALID);
        assert_int_equal(f.server.accepted, 0);
        tear_down(&f);
    }
}

/* ---- responses ---- */

static void test_responses(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *bytes;
        bool closes;
        unsigned status;
        const char *body;
        bool keeps;
    } cases[] = {
        {HTTP_GET, OK, false, 200, "ok", true},
        {HTTP_GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, "", true},
        {HTTP_GET, "HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true},
        {HTTP_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, 304, "", true},
        {HTTP_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false, 200, "", true},
        {HTTP_GET,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
         false, 200, "abcde", true},
        {HTTP_GET, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" OK, false, 200,
         "ok", true},
        {HTTP_GET, "HTTP/1.1 200 OK\r\n\r\nto the end", true, 200, "to the end", false},
        {HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, 200, "ok", false},
        {HTTP_GET, "HTTP/1.1 500 Bad\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false,
         500, "x", false},
        {HTTP_GET, OK "surplus", false, 200, "ok", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply replies[] = {{.bytes = cases[i].bytes, .closes = cases[i].closes},
                                        {.bytes = OK, .closes = true}};
        struct fixture f;
        struct record record;
        set_up(&f, replies, 2);
        struct http_call_params params = get(&f);
        params.method = cases[i].method;
        run_call(&f, &record, &params);
        expect_body(&record, cases[i].status, cases[i].body);
        params.method = HTTP_GET;
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        assert_int_equal(f.server.accepted, cases[i].keeps ? 1 : 2);
        tear_down(&f);
    }
}

static void test_response_byte_by_byte(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = NULL}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    struct http_call_params params = get(&f);
    start(&f, &record, &params);
    RUN_UNTIL(f.loop, f.server.answered == 1);
    server_dribble(&f.server.conns[0], "HTTP/1.1 100 Continue\r\n\r\n"
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n");
    RUN_UNTIL(f.loop, is_over(&record));
    expect_body(&record, 200, "abc0123456789");
    tear_down(&f);
}

static void test_broken_responses(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool closes, resets;
        int code;
        unsigned heads;
        const char *text;
    } cases[] = {
        {NULL, true, false, ERR_CLOSED, 0, "without a response"},
        {NULL, false, true, ERR_CLOSED, 0, "reset"},
        {"HTTP/1.1 200", true, false, ERR_CLOSED, 0, "in the middle"},
        {"HTTP/1.1 200 OK\r\n\r\nabc", false, true, ERR_CLOSED, 1, "in the middle"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true, false, ERR_CLOSED, 1,
         "in the middle"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, false,
         ERR_CLOSED, 1, "in the middle"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, false, ERR_PROTOCOL,
         1, "chunked"},
        {"HTTP/2 200\r\n\r\n", false, false, ERR_PROTOCOL, 0, "broken response"},
        {"HTTP/1.1 101 Switching\r\n\r\n", false, false, ERR_PROTOCOL, 0, "101"},
        {"HTTP/1.1 100 C\r\n\r\n", true, false, ERR_CLOSED, 0, "closed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply replies[] = {
            {.bytes = cases[i].bytes, .closes = cases[i].closes, .resets = cases[i].resets}};
        struct fixture f;
        struct record record;
        set_up(&f, replies, 1);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        assert_int_equal(record.code, cases[i].code);
        assert_int_equal(record.heads, cases[i].heads);
        assert_non_null(strstr(record.text.text, cases[i].text));
        assert_non_null(strstr(record.text.text, "http://127.0.0.1:"));
        assert_int_equal(f.server.accepted, 1);
        buf_fini(&record.body);
        tear_down(&f);
    }
}

static void test_head_that_is_too_large(void **state)
{
    (void)state;
    struct buf head = {0};
    buf_add_cstr(&head, "HTTP/1.1 200 OK\r\n");
    while (head.len < HTTP_HEAD_MAX)
        buf_add_cstr(&head,
                     "X: 0123456789012345678901234567890123456789012345678901234567890123"
                     "456789012345678901234567890123456789012345678901234567890123456789"
                     "456789012345678901234567890123456789012345678901234567890123456789"
                     "456789012345678901234567890123456789012345678901234567890123456789"
                     "456789012345678901234567890123456789012345678901234567890123456789"
                     "456789012345678901234567890123456789012345678901234567890123456789\r\n");
    buf_add_cstr(&head, "\r\n");
    const struct reply replies[] = {{.bytes = head.ptr}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    assert_int_equal(record.code, ERR_PROTOCOL);
    tear_down(&f);
    buf_fini(&head);
}

/* ---- streamed requests and back-pressure ---- */

static void test_streamed_request(void **state)
{
    (void)state;
    static const struct {
        int64_t length;
        const char *end;
        const char *expected;
    } cases[] = {
        {-1, "0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
        {5, "abcde", "Content-Length: 5\r\n\r\nabcde"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply replies[] = {{.after = cases[i].end, .bytes = OK}};
        struct fixture f;
        struct record record;
        set_up(&f, replies, 1);
        struct http_call_params params = get(&f);
        params.method = HTTP_POST;
        params.stream_body = true;
        params.stream_length = cases[i].length;
        start(&f, &record, &params);
        assert_true(http_call_write(record.call, STR("abc")) > 0);
        RUN_UNTIL(f.loop, record.drains == 1);
        assert_int_equal(http_call_write(record.call, STR("de")), 0);
        http_call_finish(record.call);
        RUN_UNTIL(f.loop, is_over(&record));
        expect_body(&record, 200, "ok");
        assert_non_null(strstr(f.server.seen.ptr, cases[i].expected));
        tear_down(&f);
    }
}

static void test_streamed_request_waits_for_a_slow_peer(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20, PIECES = 12 };
    static const struct reply replies[] = {{.after = "the end", .bytes = OK}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    f.server.is_deaf = true;
    struct http_call_params params = get(&f);
    params.method = HTTP_POST;
    params.stream_body = true;
    params.stream_length = (int64_t)PIECE * PIECES + 7;
    start(&f, &record, &params);
    RUN_UNTIL(f.loop, f.server.accepted == 1);
    auto_free char *piece = mem_alloc(PIECE);
    memset(piece, 'x', PIECE);
    size_t waiting = 0;
    for (int i = 0; i < PIECES; i++)
        waiting = http_call_write(record.call, str_sub(piece, PIECE));
    assert_true(waiting > 0);
    for (int i = 0; i < 10; i++)
        turn(f.loop);
    assert_int_equal(record.drains, 0);
    stream_want(f.server.conns[0].stream, WATCH_READ);
    RUN_UNTIL(f.loop, record.drains == 1);
    http_call_write(record.call, STR("the end"));
    http_call_finish(record.call);
    RUN_UNTIL(f.loop, is_over(&record));
    expect_body(&record, 200, "ok");
    tear_down(&f);
}

static void test_response_before_the_request_is_out(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {.bytes = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"}, {.bytes = OK}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 2);
    struct http_call_params params = get(&f);
    params.method = HTTP_POST;
    params.stream_body = true;
    params.stream_length = 100;
    run_call(&f, &record, &params);
    expect_body(&record, 413, "no");
    params = get(&f);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    assert_int_equal(f.server.accepted, 2);
    tear_down(&f);
}

static void pause_call(struct record *record)
{
    http_call_pause(record->call);
}

static void test_pause_holds_the_body_back(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    struct http_call_params params = get(&f);
    params.idle_timeout_ms = 100;
    start(&f, &record, &params);
    record.in_body = pause_call;
    for (unsigned pieces = 1; pieces <= 3; pieces++) {
        RUN_UNTIL(f.loop, record.pieces == pieces);
        pass_ms(f.loop, 1000); /* no timeout runs while paused */
        turn(f.loop);
        assert_int_equal(record.pieces, pieces);
        assert_false(is_over(&record));
        http_call_resume(record.call);
        assert_int_equal(record.pieces, pieces);
    }
    RUN_UNTIL(f.loop, is_over(&record));
    expect_body(&record, 200, "abc");
    tear_down(&f);
}

static void test_paused_call_does_not_read(void **state)
{
    (void)state;
    enum { LENGTH = 8 << 20 };
    static const struct reply replies[] = {
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    struct http_call_params params = get(&f);
    start(&f, &record, &params);
    record.in_head = pause_call;
    RUN_UNTIL(f.loop, record.heads == 1);
    auto_free char *data = mem_alloc(LENGTH);
    struct iovec part = {data, LENGTH};
    size_t sent = 0;
    for (int idle = 0; idle < 10;) { /* until the sockets' buffers are full */
        ssize_t n = stream_write(f.server.conns[0].stream, &part, 1);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? (size_t)n : 0;
        part = (struct iovec){data + sent, LENGTH - sent};
        turn(f.loop);
    }
    assert_true(sent < LENGTH);
    assert_int_equal(record.pieces, 0);
    record.in_head = NULL;
    http_call_resume(record.call);
    while (!is_over(&record)) {
        ssize_t n = sent < LENGTH ? stream_write(f.server.conns[0].stream, &part, 1) : 0;
        sent += n > 0 ? (size_t)n : 0;
        part = (struct iovec){data + sent, LENGTH - sent};
        turn(f.loop);
    }
    assert_int_equal(record.ends, 1);
    assert_int_equal(record.body.len, LENGTH);
    buf_fini(&record.body);
    tear_down(&f);
}

/* ---- cancelling, freeing ---- */

static void cancel_call(struct record *record)
{
    http_call_cancel(TAKE(record->call));
}

static void free_pool(struct record *record)
{
    http_pool_free(TAKE(record->pool));
    record->call = NULL;
}

static void start_another(struct record *record)
{
    static struct http_target nowhere = {.host = "127.0.0.1", .port = 1};
    static struct record other;
    other = (struct record){.loop = record->loop, .pool = record->pool};
    struct http_call_params params = {.target = &nowhere, .path = STR("/")};
    other.call = http_call_start(record->pool, &params, &ops, &other);
}

static void test_callbacks_may_end_everything(void **state)
{
    (void)state;
    static const struct {
        void (*in_head)(struct record *), (*in_body)(struct record *), (*in_end)(struct record *);
        bool ends, frees;
    } cases[] = {
        {.in_head = cancel_call},
        {.in_body = cancel_call},
        {.in_head = free_pool, .frees = true},
        {.in_body = free_pool, .frees = true},
        {.in_end = free_pool, .ends = true, .frees = true},
        {.in_end = start_another, .ends = true},
    };
    static const struct reply replies[] = {
        {.bytes =
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct record record;
        set_up(&f, replies, 1);
        struct http_call_params params = get(&f);
        start(&f, &record, &params);
        record.in_head = cases[i].in_head;
        record.in_body = cases[i].in_body;
        record.in_end = cases[i].in_end;
        RUN_UNTIL(f.loop, record.call == NULL);
        if (cases[i].in_end != start_another)
            RUN_UNTIL(f.loop, f.server.closed == 1);
        assert_int_equal(record.errors, 0);
        assert_int_equal(record.ends, cases[i].ends ? 1 : 0);
        buf_fini(&record.body);
        if (cases[i].frees)
            f.pool = NULL;
        tear_down(&f);
    }
}

static void test_cancel_closes_the_connection(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 1);
    struct http_call_params params = get(&f);
    start(&f, &record, &params);
    cancel_call(&record); /* while it connects */
    http_call_cancel(NULL);
    turn(f.loop);
    start(&f, &record, &params);
    RUN_UNTIL(f.loop, record.heads == 1);
    unsigned closed = f.server.closed;
    cancel_call(&record);
    RUN_UNTIL(f.loop, f.server.closed > closed);
    assert_false(is_over(&record));
    tear_down(&f);
}

/* ---- timeouts ---- */

static void test_timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int64_t head_ms, idle_ms;
        int64_t quiet_ms, over_ms;
        const char *text;
    } cases[] = {
        {NULL, 500, 0, 499, 1, "gave no response within 500 ms"},
        {"HTTP/1.1 2", 500, 0, 499, 1, "gave no response within 500 ms"},
        {"HTTP/1.1 100 C\r\n\r\n", 500, 0, 499, 1, "gave no response within 500 ms"},
        {"HTTP/1.1 200 OK\r\n\r\n", 500, 700, 699, 1, "sent nothing for 700 ms"},
        {"HTTP/1.1 200 OK\r\n\r\nabc", 0, 700, 699, 1, "sent nothing for 700 ms"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct reply replies[] = {{.bytes = cases[i].bytes}};
        struct fixture f;
        struct record record;
        set_up(&f, replies, 1);
        struct http_call_params params = get(&f);
        params.head_timeout_ms = cases[i].head_ms;
        params.idle_timeout_ms = cases[i].idle_ms;
        start(&f, &record, &params);
        RUN_UNTIL(f.loop, f.server.answered == 1);
        for (int k = 0; k < 3; k++)
            turn(f.loop); /* what the server said has arrived */
        pass_ms(f.loop, cases[i].quiet_ms);
        assert_false(is_over(&record));
        pass_ms(f.loop, cases[i].over_ms);
        assert_int_equal(record.code, ERR_TIMEOUT);
        assert_non_null(strstr(record.text.text, cases[i].text));
        RUN_UNTIL(f.loop, f.server.closed == 1);
        buf_fini(&record.body);
        tear_down(&f);
    }
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct fixture f;
    struct record record;
    set_up(&f, NULL, 0);
    listener_free(TAKE(f.server.listener));
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    assert_int_equal(record.code, -ECONNREFUSED);
    assert_non_null(strstr(record.text.text, "127.0.0.1"));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_is_written_right),
        cmocka_unit_test(test_request_that_would_smuggle_is_refused),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_response_byte_by_byte),
        cmocka_unit_test(test_broken_responses),
        cmocka_unit_test(test_head_that_is_too_large),
        cmocka_unit_test(test_streamed_request),
        cmocka_unit_test(test_streamed_request_waits_for_a_slow_peer),
        cmocka_unit_test(test_response_before_the_request_is_out),
        cmocka_unit_test(test_pause_holds_the_body_back),
        cmocka_unit_test(test_paused_call_does_not_read),
        cmocka_unit_test(test_callbacks_may_end_everything),
        cmocka_unit_test(test_cancel_closes_the_connection),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
