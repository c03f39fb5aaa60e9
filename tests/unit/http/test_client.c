/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "script_server.h"

/* ---- a call and what came of it ---- */

struct record {
    struct loop *loop;
    struct http_call *call; /* NULL once ended */
    unsigned heads, pieces, drains, ends, errors;
    unsigned status;
    int code;
    struct err text;
    struct buf body;
    void (*in_head)(struct record *);
    void (*in_body)(struct record *);
    void (*in_end)(struct record *);
    struct http_pool *pool;
};

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct record *record = ctx;
    assert_ptr_equal(call, record->call);
    record->heads++;
    record->status = head->status;
    loop_stop(record->loop);
    if (record->in_head)
        record->in_head(record);
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct record *record = ctx;
    assert_ptr_equal(call, record->call);
    assert_true(data.len > 0);
    record->pieces++;
    buf_add_str(&record->body, data);
    loop_stop(record->loop);
    if (record->in_body)
        record->in_body(record);
}

static void on_drain(struct http_call *call, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->drains++;
    loop_stop(record->loop);
}

static void on_end(struct http_call *call, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->ends++;
    record->call = NULL;
    loop_stop(record->loop);
    if (record->in_end)
        record->in_end(record);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    (void)call;
    struct record *record = ctx;
    record->errors++;
    record->code = code;
    err_set(&record->text, code, "%s", text);
    record->call = NULL;
    loop_stop(record->loop);
}

static const struct http_call_ops ops = {.on_head = on_head,
                                         .on_body = on_body,
                                         .on_drain = on_drain,
                                         .on_end = on_end,
                                         .on_error = on_error};

static bool is_over(const struct record *record)
{
    return record->ends + record->errors > 0;
}

/* ---- a client, a server, one loop ---- */

struct fixture {
    struct loop *loop;
    struct http_pool *pool;
    struct script_server server;
    struct http_target target;
};

static void set_up(struct fixture *f, const struct reply *replies, unsigned count)
{
    *f = (struct fixture){.loop = loop_new(&virtual_clock)};
    f->pool = http_pool_new(f->loop);
    server_start(&f->server, f->loop, replies, count);
    f->target.port = f->server.port;
    memcpy(f->target.host, "127.0.0.1", sizeof "127.0.0.1");
}

static void tear_down(struct fixture *f)
{
    server_stop(&f->server);
    http_pool_free(f->pool);
    loop_free(f->loop);
}

static struct http_call_params get(struct fixture *f)
{
    return (struct http_call_params){
        .target = &f->target, .method = HTTP_GET, .path = STR("/x?y=1")};
}

static void start(struct fixture *f, struct record *record, const struct http_call_params *params)
{
    *record = (struct record){.loop = f->loop, .pool = f->pool};
    record->call = http_call_start(f->pool, params, &ops, record);
    assert_non_null(record->call);
    assert_false(is_over(record));
}

static void run_call(struct fixture *f, struct record *record,
                     const struct http_call_params *params)
{
    start(f, record, params);
    RUN_UNTIL(f->loop, is_over(record));
}

static void expect_body(struct record *record, unsigned status, const char *body)
{
    assert_int_equal(record->errors, 0);
    assert_int_equal(record->ends, 1);
    assert_int_equal(record->status, status);
    assert_string_equal(record->body.ptr ? record->body.ptr : "", body);
    buf_fini(&record->body);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

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
        {HTTP_GET, 2, {0},
         "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nA: b\r\nC: d e\r\n\r\n"},
        {HTTP_POST, 0, {0},
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
        params.body = cases[i].body;
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
        {STR("/a b"), {STR("A"), STR("b")}},   {STR("/a\r\nB: c"), {STR("A"), STR("b")}},
        {STR("http"), {STR("A"), STR("b")}},   {STR("/"), {STR("A:"), STR("b")}},
        {STR("/"), {STR("A"), STR("b\r\nC: d")}}, {STR("/"), {STR(""), STR("b")}},
        {STR(""), {STR("A"), STR("b")}},       {STR("/"), {STR("A"), STR("b\0c")}},
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
        {HTTP_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n", false, 200, "abcde", true},
        {HTTP_GET, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" OK, false,
         200, "ok", true},
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
        buf_add_cstr(&head, "X: 0123456789012345678901234567890123456789012345678901234567890123"
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

/* ---- kept connections ---- */

static void test_connection_is_reused_and_the_last_one_first(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = OK}, {.bytes = OK}, {.bytes = OK}};
    struct fixture f;
    struct record a, b;
    set_up(&f, replies, 4);
    struct http_call_params params = get(&f);
    start(&f, &a, &params);
    start(&f, &b, &params);
    RUN_UNTIL(f.loop, is_over(&a) && is_over(&b));
    expect_body(&a, 200, "ok");
    expect_body(&b, 200, "ok");
    run_call(&f, &a, &params);
    expect_body(&a, 200, "ok");
    run_call(&f, &b, &params);
    expect_body(&b, 200, "ok");
    assert_int_equal(f.server.accepted, 2);
    tear_down(&f);
}

static void test_kept_connection_goes_after_its_time(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = OK}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 2);
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    pass_ms(f.loop, HTTP_POOL_IDLE_MS - 1);
    assert_int_equal(f.server.closed, 0);
    pass_ms(f.loop, 1);
    RUN_UNTIL(f.loop, f.server.closed == 1);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    assert_int_equal(f.server.accepted, 2);
    tear_down(&f);
}

static void test_connection_closed_while_kept_is_not_used(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = OK}};
    for (int turns = 0; turns < 2; turns++) {
        struct fixture f;
        struct record record;
        set_up(&f, replies, 2);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        server_close(&f.server.conns[0], false);
        /* Without a turn in between only the look at the socket can tell. */
        for (int i = 0; i < turns; i++)
            turn(f.loop);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        assert_int_equal(f.server.accepted, 2);
        tear_down(&f);
    }
}

static void test_stale_connection_is_replaced_once(void **state)
{
    (void)state;
    static const struct {
        struct reply replies[3];
        bool streamed;
        unsigned accepted;
        int code;
    } cases[] = {
        {{{.bytes = OK}, {.closes = true}, {.after = "body", .bytes = OK}}, false, 2, 0},
        {{{.bytes = OK}, {.resets = true}, {.after = "body", .bytes = OK}}, false, 2, 0},
        {{{.bytes = OK}, {.closes = true}, {.closes = true}}, false, 2,
         ERR_CLOSED},
        {{{.bytes = OK}, {.bytes = "HTTP/1.1 2", .closes = true}, {.bytes = OK}}, false, 1, ERR_CLOSED},
        {{{.bytes = OK}, {.closes = true}, {.bytes = OK}}, true, 1, ERR_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct record record;
        set_up(&f, cases[i].replies, 3);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        params.method = HTTP_POST;
        params.body = STR("body");
        params.stream_body = cases[i].streamed;
        params.stream_length = -1;
        run_call(&f, &record, &params);
        assert_int_equal(record.code, cases[i].code);
        assert_int_equal(f.server.accepted, cases[i].accepted);
        if (cases[i].code == 0)
            expect_body(&record, 200, "ok");
        tear_down(&f);
    }
}

static void test_forgotten_target_keeps_nothing(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = NULL}};
    struct fixture f;
    struct record a, b;
    set_up(&f, replies, 2);
    struct http_call_params params = get(&f);
    start(&f, &a, &params);
    start(&f, &b, &params);
    RUN_UNTIL(f.loop, is_over(&a) && f.server.answered == 2);
    http_pool_forget(f.pool, &f.target);
    RUN_UNTIL(f.loop, f.server.closed == 1);
    for (unsigned i = 0; i < 2; i++)
        if (f.server.conns[i].stream)
            server_send(&f.server.conns[i], OK);
    RUN_UNTIL(f.loop, is_over(&b) && f.server.closed == 2);
    expect_body(&a, 200, "ok");
    expect_body(&b, 200, "ok");
    tear_down(&f);
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
        {-1, "0\r\n\r\n",
         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
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
    static const struct reply replies[] = {{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"}};
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
        {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"}};
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

/* ---- timeouts and targets ---- */

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

static void test_target_parse(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *unix_path;
        unsigned port;
        bool tls;
    } cases[] = {
        {"http://a.example", "a.example", "", 80, false},
        {"http://a.example/", "a.example", "", 80, false},
        {"HTTPS://a.example", "a.example", "", 443, true},
        {"https://10.0.0.1:8443/", "10.0.0.1", "", 8443, true},
        {"http://[::1]:81", "::1", "", 81, false},
        {"http://[fe80::1]", "fe80::1", "", 80, false},
        {"unix:/run/x.sock", "", "/run/x.sock", 80, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_target target;
        assert_int_equal(http_target_parse(cases[i].url, &target, NULL), 0);
        assert_string_equal(target.host, cases[i].host);
        assert_string_equal(target.unix_path, cases[i].unix_path);
        assert_int_equal(target.port, cases[i].port);
        assert_int_equal(target.tls, cases[i].tls);
    }
}

static void test_target_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "a.example",      "ftp://a",        "http://",       "http:///",
        "http://a:0", "http://a:65536", "http://a:",      "http://a:x",    "http://a/b",
        "http://a?b", "http://u@a",     "http://[::1",    "http://[::1]x", "http://[a]",
        "http://::1", "unix:relative",  "http://a b",     "unix:",         "http://a:80:80",
        "unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_target target;
        struct err err = {0};
        assert_int_equal(http_target_parse(bad[i], &target, &err), ERR_INVALID);
        assert_true(err.text[0] != '\0');
    }
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
        cmocka_unit_test(test_connection_is_reused_and_the_last_one_first),
        cmocka_unit_test(test_kept_connection_goes_after_its_time),
        cmocka_unit_test(test_connection_closed_while_kept_is_not_used),
        cmocka_unit_test(test_stale_connection_is_replaced_once),
        cmocka_unit_test(test_forgotten_target_keeps_nothing),
        cmocka_unit_test(test_streamed_request),
        cmocka_unit_test(test_streamed_request_waits_for_a_slow_peer),
        cmocka_unit_test(test_response_before_the_request_is_out),
        cmocka_unit_test(test_pause_holds_the_body_back),
        cmocka_unit_test(test_paused_call_does_not_read),
        cmocka_unit_test(test_callbacks_may_end_everything),
        cmocka_unit_test(test_cancel_closes_the_connection),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_target_parse),
        cmocka_unit_test(test_target_parse_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
