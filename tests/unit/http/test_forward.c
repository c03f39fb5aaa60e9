/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forward.h"

#include "wire.h"

#include <stdio.h>

/*
 * A front server forwards everything to `target`: a raw socket that plays upstream, so that what is
 * sent there can be compared byte by byte, or an echoing server.
 */

#define D "Date: " WIRE_DATE "\r\n"
#define H "Host: a\r\n"
#define GET "GET /x?y HTTP/1.1\r\n" H "\r\n"

enum { MIB = 1 << 20 };

static struct loop *loop;
static struct http_server *front;
static struct http_pool *pool;
static struct http_target target;
static unsigned front_port;
static int listening; /* upstream's socket */
static struct forward *running;
static struct forward_params params; /* for the next forward */
static struct buf trace;             /* outcomes: "D" done, "G" client gone, "F" failed, "C" cut,
                                        "B" bad body, "T" taken */
static int last_code;
static size_t seen_heads, seen_bytes;
static char last_text[256];

static void on_done(struct forward *fwd, enum forward_outcome outcome, int code, const char *text,
                    void *ctx)
{
    static const char letters[] = {[FORWARD_DONE] = 'D',
                                   [FORWARD_CLIENT_GONE] = 'G',
                                   [FORWARD_BAD_BODY] = 'B',
                                   [FORWARD_FAILED] = 'F',
                                   [FORWARD_CUT] = 'C',
                                   [FORWARD_TAKEN] = 'T'};
    buf_add_char(&trace, letters[outcome]);
    last_code = code;
    snprintf(last_text, sizeof(last_text), "%s", text);
    running = NULL;
    if (outcome == FORWARD_TAKEN)
        http_reply(forward_exchange(fwd), 200, NULL, 0, STR("ours"));
    if (outcome == FORWARD_BAD_BODY)
        http_reply(forward_exchange(fwd), 400, NULL, 0, str_of(text));
    if (outcome == FORWARD_FAILED)
        http_reply(forward_exchange(fwd), 502, NULL, 0, STR("no upstream"));
    if (outcome == FORWARD_CUT) {
        http_reply_write(forward_exchange(fwd), STR("[cut]"));
        http_exchange_abort(forward_exchange(fwd));
    }
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    params.pool = pool;
    params.target = &target;
    params.path = http_exchange_head(ex)->target;
    params.on_done = on_done;
    running = forward_start(ex, &params);
}

static int setup(void **state)
{
    wire_begin();
    loop = loop_new(&wire_clock);
    pool = http_pool_new(loop);
    front = http_server_new(loop, on_request, NULL);
    front_port = (unsigned)http_server_listen_tcp(front, "127.0.0.1", 0, false, NULL);
    target = (struct http_target){.host = "127.0.0.1"};
    listening = wire_listen(&target.port);
    params = (struct forward_params){0};
    buf_clear(&trace);
    return 0;
}

static int teardown(void **state)
{
    http_server_free(front);
    http_pool_free(pool);
    if (listening >= 0)
        close(listening);
    loop_free(loop);
    buf_fini(&trace);
    return 0;
}

static void expect_outcome(const char *want)
{
    WIRE_UNTIL(loop, trace.len > 0);
    assert_string_equal(trace.ptr, want);
    buf_clear(&trace);
}

static int client_sends(const char *text)
{
    int fd = wire_connect(front_port);
    wire_send(loop, fd, str_of(text));
    return fd;
}

static int upstream_accepts(void)
{
    int fd = -1;
    WIRE_UNTIL(loop, (fd = wire_accept(listening)) >= 0);
    return fd;
}

/* ---- heads ---- */

static const struct {
    const char *request;      /* from the client */
    const char *request_out;  /* as upstream sees it, after the Host header; NULL: not looked at */
    const char *response;     /* from upstream */
    const char *response_out; /* as the client sees it; NULL: not looked at */
    bool upstream_closes;
} heads[] = {
    {"GET /x?y HTTP/1.1\r\n" H "Accept: */*\r\nX-One: 1\r\nX-One: 2\r\n\r\n",
     "Accept: */*\r\nX-One: 1\r\nX-One: 2\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi",
     "HTTP/1.1 200 OK\r\nX-A: b\r\n" D "Content-Length: 2\r\n\r\nhi", false},
    {"GET /x?y HTTP/1.1\r\n" H "Connection: X-Hop, te, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
     "Proxy-Authorization: x\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nX-Stay: 1\r\n\r\n",
     "X-Stay: 1\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
     "Keep-Alive: 5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: x\r\nDate: theirs\r\n"
     "Server: s\r\n\r\n",
     "HTTP/1.1 200 OK\r\nDate: theirs\r\nServer: s\r\nContent-Length: 0\r\n\r\n", false},
    {"GET /x?y HTTP/1.1\r\n" H
     "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nx-forwarded-for: 3.3.3.3\r\n\r\n",
     "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
     "HTTP/1.1 200 OK\r\n" D "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false},
    {"POST /x?y HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
     "X-Forwarded-For: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\n\r\nto the end",
     "HTTP/1.1 201 Created\r\n" D "Transfer-Encoding: chunked\r\n\r\na\r\nto the end\r\n0\r\n\r\n",
     true},
    {"POST /x?y HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
     "X-Forwarded-For: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
     "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n" D "\r\n", false},
    {"POST /x?y HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
     "X-Forwarded-For: 127.0.0.1\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
     "HTTP/1.1 304 Not Modified\r\n" D "\r\n", false},
    {"HEAD /x?y HTTP/1.1\r\n" H "\r\n", "X-Forwarded-For: 127.0.0.1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
     "HTTP/1.1 200 OK\r\n" D "Content-Length: 9\r\n\r\n", false},
    {"GET /x?y HTTP/1.0\r\n\r\n", "X-Forwarded-For: 127.0.0.1\r\n\r\n",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     "HTTP/1.1 200 OK\r\n" D "Connection: close\r\n\r\nhi", false},
};

static const char *behind_host(const char *text)
{
    char *host = strstr(text, "\r\nHost: 127.0.0.1:");
    assert_non_null(host);
    return strstr(host + 2, "\r\n") + 2;
}

static void test_heads_are_rewritten(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        wire_about = heads[i].request;
        int client = client_sends(heads[i].request);
        int upstream = upstream_accepts();
        struct buf seen = {0};
        wire_read_until(loop, upstream, &seen, heads[i].request_out);
        assert_string_equal(behind_host(seen.ptr), heads[i].request_out);
        assert_non_null(strstr(seen.ptr, " /x?y HTTP/1.1\r\n"));
        wire_send(loop, upstream, str_of(heads[i].response));
        if (heads[i].upstream_closes)
            shutdown(upstream, SHUT_WR);
        wire_expect(loop, client, heads[i].response_out);
        expect_outcome("D");
        buf_fini(&seen);
        close(client);
        close(upstream);
        http_pool_forget(pool, &target);
    }
}

/* Whatever a client writes before it, its own address isn't left out: it is what others trust. */
static void test_peer_is_always_told(void **state)
{
    enum { LENGTHS = 40 };
    char filler[1024 + 8];
    memset(filler, '6', sizeof filler);
    for (int length = 1024 - LENGTHS; length <= 1024; length += 3) {
        auto_free char *request =
            mem_printf("GET /x?y HTTP/1.1\r\n" H "X-Forwarded-For: %.*s\r\n\r\n", length, filler);
        int client = client_sends(request);
        int upstream = upstream_accepts();
        struct buf seen = {0};
        wire_read_until(loop, upstream, &seen, "127.0.0.1\r\n\r\n");
        wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
        wire_expect(loop, client, "HTTP/1.1 200 OK\r\n" D "Content-Length: 0\r\n\r\n");
        expect_outcome("D");
        buf_fini(&seen);
        close(client);
        close(upstream);
        http_pool_forget(pool, &target);
    }
}

static bool is_cookie(struct str name)
{
    return str_eq_nocase(name, STR("Cookie"));
}

static void test_added_and_dropped_headers(void **state)
{
    static const struct http_header add[] = {{{"Authorization", 13}, {"Bearer ours", 11}}};
    static const struct http_header reply_add[] = {{{"X-Id", 4}, {"7", 1}}};
    params.add = add;
    params.add_count = 1;
    params.drops = is_cookie;
    params.reply_add = reply_add;
    params.reply_add_count = 1;
    int client =
        client_sends("GET / HTTP/1.1\r\n" H "authorization: theirs\r\ncookie: c\r\nA: b\r\n\r\n");
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "\r\n\r\n");
    assert_string_equal(behind_host(seen.ptr), "A: b\r\nAuthorization: Bearer ours\r\n"
                                               "X-Forwarded-For: 127.0.0.1\r\n\r\n");
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nx-id: 8\r\nContent-Length: 0\r\n\r\n"));
    wire_expect(loop, client, "HTTP/1.1 200 OK\r\nX-Id: 7\r\n" D "Content-Length: 0\r\n\r\n");
    expect_outcome("D");
    buf_fini(&seen);
    close(client);
    close(upstream);
}

/* ---- streaming ---- */

static void see_head(struct forward *fwd, const struct http_response_head *head, void *ctx)
{
    seen_heads += head->status == 200;
}

static void see_body(struct forward *fwd, struct str data, void *ctx)
{
    seen_bytes += data.len;
}

static void test_pieces_pass_before_the_end(void **state)
{
    seen_heads = seen_bytes = 0;
    params.on_head = see_head;
    params.on_body = see_body;
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "\r\n\r\n");
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    wire_expect(loop, client, "HTTP/1.1 200 OK\r\n" D "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        wire_send(loop, upstream, STR("3\r\nabc\r\n"));
        wire_expect(loop, client, "3\r\nabc\r\n");
    }
    wire_send(loop, upstream, STR("0\r\n\r\n"));
    wire_expect(loop, client, "0\r\n\r\n");
    expect_outcome("D");
    assert_int_equal(seen_heads, 1);
    assert_int_equal(seen_bytes, 15);
    buf_fini(&seen);
    close(client);
    close(upstream);
}

static void test_request_body_streams(void **state)
{
    int client =
        client_sends("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 6\r\n\r\n");
    int upstream = upstream_accepts();
    wire_expect(loop, client, "HTTP/1.1 100 Continue\r\n\r\n");
    struct buf seen = {0};
    wire_send(loop, client, STR("abc"));
    wire_read_until(loop, upstream, &seen, "\r\n\r\nabc"); /* before the rest has come */
    assert_null(strcasestr(seen.ptr, "Expect"));
    wire_send(loop, client, STR("def"));
    wire_read_until(loop, upstream, &seen, "abcdef");
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    wire_expect(loop, client, "HTTP/1.1 200 OK\r\n" D "Content-Length: 0\r\n\r\n");
    expect_outcome("D");
    buf_fini(&seen);
    close(client);
    close(upstream);
}

/* The client can be told what was wrong with its body; upstream must not take it for whole. */
static void test_bad_request_body(void **state)
{
    int client = client_sends("POST / HTTP/1.1\r\n" H
                              "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    int upstream = upstream_accepts();
    struct buf seen = {0}, got = {0};
    wire_read_until(loop, upstream, &seen, "3\r\nabc\r\n");
    wire_send(loop, client, STR("-1\r\nGET /smuggled HTTP/1.1\r\n" H "\r\n"));
    expect_outcome("B");
    WIRE_UNTIL(loop, wire_read(client, &got) == 0);
    assert_true(str_has_prefix(buf_str(&got), STR("HTTP/1.1 400 ")));
    assert_non_null(strstr(got.ptr, "Connection: close\r\n"));
    assert_non_null(strstr(got.ptr, "\r\n\r\nchunked body: byte 0x2d may not stand there"));
    assert_null(strstr(got.ptr + 1, "HTTP/1.1 "));
    WIRE_UNTIL(loop, wire_read(upstream, &seen) <= 0);
    assert_null(strstr(seen.ptr, "0\r\n\r\n"));
    buf_fini(&got);
    buf_fini(&seen);
    close(client);
    close(upstream);
}

static void test_whole_body(void **state)
{
    params.body = http_body_of(STR("{\"a\":1}"));
    int client =
        client_sends("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "Content-Length: 7\r\n\r\n{\"a\":1}");
    assert_null(strcasestr(seen.ptr, "chunked"));
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    expect_outcome("D");
    buf_fini(&seen);
    close(client);
    close(upstream);
}

static void test_body_of_parts(void **state)
{
    params.body = (struct http_body){.parts = {STR("{\"a\""), STR(""), STR(":1"), STR("}")},
                                     .count = 4};
    int client = client_sends("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n");
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "Content-Length: 7\r\n\r\n{\"a\":1}");
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    expect_outcome("D");
    buf_fini(&seen);
    close(client);
    close(upstream);
}

/* ---- responses that the owner changes or keeps ---- */

static void rewrite(struct forward *fwd, const struct http_response_head *head, void *ctx)
{
    forward_rewrite(fwd);
}

static void send_twice(struct forward *fwd, struct str data, void *ctx)
{
    forward_send(fwd, data);
    forward_send(fwd, data);
}

static void send_last(struct forward *fwd, void *ctx)
{
    forward_send(fwd, STR("end"));
}

static void test_rewritten_body(void **state)
{
    params.on_head = rewrite;
    params.on_body = send_twice;
    params.on_end = send_last;
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi"));
    wire_expect(loop, client,
                "HTTP/1.1 200 OK\r\nX-A: b\r\n" D "Transfer-Encoding: chunked\r\n\r\n"
                "2\r\nhi\r\n2\r\nhi\r\n3\r\nend\r\n0\r\n\r\n");
    expect_outcome("D");
    close(client);
    close(upstream);
}

static void take(struct forward *fwd, const struct http_response_head *head, void *ctx)
{
    forward_take(fwd);
}

static void test_taken_response(void **state)
{
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        seen_bytes = 0;
        params.on_head = take;
        params.on_body = see_body;
        int client = client_sends(GET);
        int upstream = upstream_accepts();
        wire_send(loop, upstream, STR("HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nhi"));
        WIRE_UNTIL(loop, seen_bytes == 2);
        assert_true(forward_path(running).was_connected);
        if (is_cut)
            close(upstream);
        else
            wire_send(loop, upstream, STR("ho"));
        expect_outcome(is_cut ? "F" : "T");
        wire_expect(loop, client,
                    is_cut ? "HTTP/1.1 502 Bad Gateway\r\n" D "Content-Length: 11\r\n\r\n"
                             "no upstream"
                           : "HTTP/1.1 200 OK\r\n" D "Content-Length: 4\r\n\r\nours");
        close(client);
        if (!is_cut)
            close(upstream);
    }
}

static void test_early_response_ends_the_upload(void **state)
{
    int client = client_sends("POST / HTTP/1.1\r\n" H "Content-Length: 600000\r\n\r\nabc");
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "\r\n\r\nabc");
    wire_send(loop, upstream, STR("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"));
    close(upstream);
    wire_expect(loop, client, "HTTP/1.1 413 Content Too Large\r\n" D "Content-Length: 0\r\n\r\n");
    expect_outcome("D");
    buf_fini(&seen);
    close(client);
}

/* ---- ends ---- */

static void test_client_gone_closes_upstream(void **state)
{
    static const char *const responses[] = {"", "HTTP/1.1 200 OK\r\n",
                                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"};
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        int client = client_sends(GET);
        int upstream = upstream_accepts();
        struct buf seen = {0};
        wire_read_until(loop, upstream, &seen, "\r\n\r\n");
        wire_send(loop, upstream, str_of(responses[i]));
        wire_settle(loop);
        close(client);
        expect_outcome("G");
        wire_turn(loop);
        assert_true(wire_read(upstream, &seen) != -EAGAIN);
        buf_fini(&seen);
        close(upstream);
    }
}

static void test_refused_connection(void **state)
{
    close(listening);
    listening = -1;
    int client = client_sends("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
    expect_outcome("F");
    assert_int_equal(last_code, -ECONNREFUSED);
    assert_true(last_text[0]);
    wire_expect(loop, client,
                "HTTP/1.1 502 Bad Gateway\r\n" D "Content-Length: 11\r\n\r\nno upstream");
    wire_expect_silence(loop, client); /* the client's connection lives on */
    close(client);
}

static void test_upstream_ends_before_a_response(void **state)
{
    int client = client_sends(GET);
    close(upstream_accepts());
    expect_outcome("F");
    assert_int_equal(last_code, ERR_CLOSED);
    wire_expect(loop, client,
                "HTTP/1.1 502 Bad Gateway\r\n" D "Content-Length: 11\r\n\r\nno upstream");
    close(client);
}

static void test_upstream_breaks_the_protocol(void **state)
{
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    wire_send(loop, upstream,
              STR("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"));
    expect_outcome("F");
    assert_int_equal(last_code, ERR_PROTOCOL);
    close(client);
    close(upstream);
}

static void test_upstream_cut(void **state)
{
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    wire_send(loop, upstream,
              STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    wire_expect(loop, client,
                "HTTP/1.1 200 OK\r\n" D "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    close(upstream);
    expect_outcome("C");
    struct buf got = {0};
    wire_read_to_end(loop, client, &got);
    assert_string_equal(got.ptr, "5\r\n[cut]\r\n"); /* and no last chunk */
    buf_fini(&got);
    close(client);
}

static void test_head_timeout(void **state)
{
    params.head_timeout_ms = 1000;
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    struct buf seen = {0};
    wire_read_until(loop, upstream, &seen, "\r\n\r\n");
    wire_advance(loop, 1001);
    expect_outcome("F");
    assert_int_equal(last_code, ERR_TIMEOUT);
    buf_fini(&seen);
    close(client);
    close(upstream);
}

static void cancel_now(struct forward *fwd, const struct http_response_head *head, void *ctx)
{
    forward_cancel(fwd, ERR_FORBIDDEN, "not this one");
}

static void cancel_at_body(struct forward *fwd, struct str data, void *ctx)
{
    forward_cancel(fwd, ERR_FORBIDDEN, "not this one");
}

static void test_cancel(void **state)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    for (int where = 0; where < 3; where++) {
        params.on_head = where == 1 ? cancel_now : NULL;
        params.on_body = where == 2 ? cancel_at_body : NULL;
        int client = client_sends(GET);
        int upstream = upstream_accepts();
        if (where == 0)
            forward_cancel(running, ERR_FORBIDDEN, "not this one");
        else
            wire_send(loop, upstream, str_of(response));
        expect_outcome(where == 2 ? "C" : "F");
        assert_int_equal(last_code, ERR_FORBIDDEN);
        struct buf seen = {0};
        wire_read_until(loop, client, &seen, where == 2 ? "[cut]" : "no upstream");
        buf_fini(&seen);
        close(client);
        close(upstream);
    }
}

/* ---- back-pressure ---- */

static void test_slow_client_bounds_memory(void **state)
{
    int client = client_sends(GET);
    int upstream = upstream_accepts();
    auto_free char *fill = mem_alloc(MIB);
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n"));
    seen_bytes = 0;
    size_t sent = 0;
    for (int idle = 0; idle < 100; idle++) {
        ssize_t n = send(upstream, fill, MIB, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n, idle = 0;
        wire_turn(loop);
    }
    assert_true(sent < 40 * MIB); /* two sockets' buffers and our queue */
    struct buf got = {0};
    size_t received = 0;
    while (sent < 100 * MIB || received < 100 * MIB) {
        size_t left = 100 * MIB - sent;
        ssize_t n = left ? send(upstream, fill, left < MIB ? left : MIB, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        buf_clear(&got);
        if (wire_read(client, &got) < 0)
            wire_turn(loop);
        received += got.len;
    }
    expect_outcome("D");
    buf_fini(&got);
    close(client);
    close(upstream);
}

static void test_slow_upstream_bounds_memory(void **state)
{
    int client = client_sends("POST / HTTP/1.1\r\n" H "Content-Length: 104857600\r\n\r\n");
    int upstream = upstream_accepts();
    auto_free char *fill = mem_alloc(MIB);
    size_t sent = 0;
    for (int idle = 0; idle < 100; idle++) {
        ssize_t n = send(client, fill, MIB, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n, idle = 0;
        wire_turn(loop);
    }
    assert_true(sent < 40 * MIB);
    struct buf got = {0};
    size_t received = 0;
    while (received < 100 * MIB) {
        size_t left = 100 * MIB - sent;
        ssize_t n = left ? send(client, fill, left < MIB ? left : MIB, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        buf_clear(&got);
        if (wire_read(upstream, &got) < 0)
            wire_turn(loop);
        received += got.len;
    }
    wire_send(loop, upstream, STR("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    expect_outcome("D");
    buf_fini(&got);
    close(client);
    close(upstream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_heads_are_rewritten), TEST(test_peer_is_always_told),
        TEST(test_added_and_dropped_headers),
        TEST(test_pieces_pass_before_the_end),
        TEST(test_request_body_streams),
        TEST(test_bad_request_body),
        TEST(test_whole_body),
        TEST(test_early_response_ends_the_upload),
        TEST(test_client_gone_closes_upstream),
        TEST(test_refused_connection),
        TEST(test_upstream_ends_before_a_response),
        TEST(test_upstream_breaks_the_protocol),
        TEST(test_upstream_cut),
        TEST(test_body_of_parts),
        TEST(test_rewritten_body),
        TEST(test_taken_response),
        TEST(test_head_timeout),
        TEST(test_cancel),
        TEST(test_slow_client_bounds_memory),
        TEST(test_slow_upstream_bounds_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
