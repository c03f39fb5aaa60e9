/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other parsers could read differently, over a real socket: each row is what a client sends, a
 * second request stands behind it. Either the row is refused with its status, the connection ends
 * and no handler sees the second request, or both are answered, the first with its body.
 */
#include "http/server.h"

#include "wire.h"

#include <stdio.h>

#define H "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define SECOND "GET /second HTTP/1.1\r\n" H "\r\n"
#define ROW(in, status, body) {STR(in), status, body}

/* `status` 200: accepted with this body. */
static const struct {
    struct str in;
    unsigned status;
    const char *body;
} rows[] = {
    /* lengths */
    ROW(POST "Content-Length: 3\r\n\r\nabc", 200, "abc"),
    ROW(POST "content-LENGTH:3\r\n\r\nabc", 200, "abc"),
    ROW(POST "Content-Length: \t3 \t\r\n\r\nabc", 200, "abc"),
    ROW(POST "Content-Length: 003\r\n\r\nabc", 200, "abc"),
    ROW(POST "Content-Length: 0\r\n\r\n", 200, ""),
    ROW(POST "\r\n", 200, ""),
    ROW(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3\r\nCONTENT-LENGTH: 0\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3, 3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3,\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: +3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: -3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 0x3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 1_000\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3 3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3.0\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3e0\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: \"3\"\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3;x\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length:\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 9223372036854775808\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 18446744073709551619\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length : 3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length\t: 3\r\n\r\nabc", 400, NULL),
    ROW(POST " Content-Length: 3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: 3\0\r\n\r\nabc", 400, NULL),
    ROW(POST "Content-Length: \x0b" "3\r\n\r\nabc", 400, NULL),
    ROW(POST "Content_Length: 3\r\n\r\n", 200, ""), /* some other header */
    /* both */
    ROW(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc", 400, NULL),
    /* codings */
    ROW(CHUNKED "3\r\nabc\r\n0\r\n\r\n", 200, "abc"),
    ROW(POST "Transfer-Encoding: ChunKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc"),
    ROW(POST "transfer-encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc"),
    ROW(POST "Transfer-Encoding: identity\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked\x80\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
        NULL),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400,
        NULL),
    ROW("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, NULL),
    /* chunks */
    ROW(CHUNKED "0\r\n\r\n", 200, ""),
    ROW(CHUNKED "00003\r\nabc\r\n000\r\n\r\n", 200, "abc"),
    ROW(CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789"),
    ROW(CHUNKED "3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", 200, "abc"),
    ROW(CHUNKED "0\r\nContent-Length: 5\r\n\r\n", 200, ""), /* trailers have no say */
    ROW(CHUNKED "+3\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "-3\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\t\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3;a=b\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3;\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "g\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\rabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabc\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabc0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabc\rX0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabcX\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabcd\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "3\r\nabc\r\n\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n", 400, NULL),
    ROW(CHUNKED "0\n\r\n", 400, NULL),
    ROW(CHUNKED "0\r\n\n", 400, NULL),
    ROW(CHUNKED "0\r\nA : b\r\n\r\n", 400, NULL),
    ROW(CHUNKED "0\r\n A: b\r\n\r\n", 400, NULL),
    ROW(CHUNKED "0\r\nA: b\n\r\n", 400, NULL),
    ROW(CHUNKED "3\0\r\nabc\r\n0\r\n\r\n", 400, NULL),
    /* lines */
    ROW("\r\n\r\n" POST "\r\n", 200, ""),
    ROW("\r\n\r\n\r\n\r\n\r\n" POST "\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\n" H "\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\nHost: a\n\r\n", 400, NULL),
    ROW(POST "\n", 400, NULL),
    ROW(POST "A: b\rC: d\r\n\r\n", 400, NULL),
    ROW(POST "A: b\r\r\n\r\n", 400, NULL),
    ROW(POST "A: b\r\n c\r\n\r\n", 400, NULL),
    ROW(POST "A: b\r\n\tc\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\n " H "\r\n", 400, NULL),
    ROW(POST "A: b\0c\r\n\r\n", 400, NULL),
    ROW(POST "A\0: b\r\n\r\n", 400, NULL),
    ROW(POST ": b\r\n\r\n", 400, NULL),
    ROW(POST "A\r\n\r\n", 400, NULL),
    ROW(POST "A B: c\r\n\r\n", 400, NULL),
    ROW(POST "A\x80: c\r\n\r\n", 400, NULL),
    ROW(POST "A: caf\xc3\xa9\t!\r\n\r\n", 200, ""),
    /* hosts and targets */
    ROW("POST / HTTP/1.1\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\n" H H "\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\n" H "hOST: b\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, NULL),
    ROW("POST / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, ""),
    ROW("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, ""),
    ROW("POST http://a/ HTTP/1.1\r\n" H "\r\n", 200, ""),
    ROW("POST HTTPS://b:1/?q HTTP/1.1\r\n" H "\r\n", 200, ""),
    ROW("POST http://u@a/ HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST ftp://a/ HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST a HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST /a b HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST  / HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST /  HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST\t/ HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST / HTTP/1.1 \r\n" H "\r\n", 400, NULL),
    ROW("POST /\x01 HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST /#x HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST /\r HTTP/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST / http/1.1\r\n" H "\r\n", 400, NULL),
    ROW("POST / HTTP/1.10\r\n" H "\r\n", 400, NULL),
    ROW("POST / HTTP/1\r\n" H "\r\n", 400, NULL),
    ROW("POST /\r\n" H "\r\n", 400, NULL),
    ROW("post / HTTP/1.1\r\n" H "\r\n", 501, NULL),
    ROW("POST / HTTP/1.2\r\n" H "\r\n", 505, NULL),
    ROW("POST / HTTP/2.0\r\n" H "\r\n", 505, NULL),
};

static struct loop *loop;
static struct buf body;
static unsigned seconds;
static bool handles_bad_bodies;
static unsigned handled; /* bad bodies that the handler answered */

static void on_body(struct http_exchange *ex, struct str data, void *ctx)
{
    buf_add_str(&body, data);
}

static void on_end(struct http_exchange *ex, void *ctx)
{
    http_reply(ex, 200, NULL, 0, buf_str(&body));
}

static void on_bad_body(struct http_exchange *ex, const char *text, void *ctx)
{
    handled++;
    http_reply(ex, 400, NULL, 0, str_of(text));
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    struct http_exchange_ops ops = {.on_body = on_body, .on_end = on_end};
    if (handles_bad_bodies)
        ops.on_bad_body = on_bad_body;
    buf_clear(&body);
    seconds += str_eq(http_exchange_head(ex)->path, STR("/second"));
    http_exchange_set_ops(ex, &ops, NULL);
}

/* Both requests are answered, and nothing else. */
static void expect_both(int fd, const char *first_body)
{
    struct buf got = {0};
    WIRE_UNTIL(loop, (wire_read(fd, &got), seconds == 1));
    wire_settle(loop);
    (void)wire_read(fd, &got);
    auto_free char *first = mem_printf("\r\n\r\n%sHTTP/1.1 200 OK\r\n", first_body);
    if (!str_has_prefix(buf_str(&got), STR("HTTP/1.1 200 OK\r\n")) || !strstr(got.ptr, first) ||
        !str_has_suffix(buf_str(&got), STR("\r\n\r\n")))
        fail_msg("%s got %s", wire_about, got.ptr);
    buf_fini(&got);
}

static void expect_refusal(int fd, unsigned status)
{
    struct buf got = {0};
    if (!wire_read_to_end(loop, fd, &got))
        fail_msg("%s: cut", wire_about);
    auto_free char *first = mem_printf("HTTP/1.1 %u ", status);
    if (!str_has_prefix(buf_str(&got), str_of(first)))
        fail_msg("%s got %s", wire_about, got.ptr ? got.ptr : "nothing");
    assert_non_null(strstr(got.ptr, "Connection: close\r\n"));
    assert_int_equal(seconds, 0);
    buf_fini(&got);
}

static void try_rows(void)
{
    loop = loop_new(&wire_clock);
    struct http_server *server = http_server_new(loop, on_request, NULL);
    int port = http_server_listen_tcp(server, "127.0.0.1", 0, false, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        wire_begin();
        wire_about = rows[i].in.ptr;
        seconds = 0;
        int fd = wire_connect((unsigned)port);
        struct buf in = {0};
        buf_add_str(&in, rows[i].in);
        buf_add_str(&in, STR(SECOND));
        wire_send(loop, fd, buf_str(&in));
        if (rows[i].status == 200)
            expect_both(fd, rows[i].body);
        else
            expect_refusal(fd, rows[i].status);
        buf_fini(&in);
        close(fd);
    }
    http_server_free(server);
    loop_free(loop);
    buf_fini(&body);
}

static void test_rows(void **state)
{
    (void)state;
    try_rows();
    assert_int_equal(handled, 0);
}

/* The same from outside when handlers tell what is wrong with a body in words of their own. */
static void test_rows_with_a_handler(void **state)
{
    (void)state;
    handles_bad_bodies = true;
    try_rows();
    assert_true(handled > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_rows_with_a_handler)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
