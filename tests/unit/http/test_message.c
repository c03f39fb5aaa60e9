/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "http/message.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define H "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n" H

enum { WHOLE = 1, PARTIAL = 0 };

struct vector {
    struct str text;
    int want; /* WHOLE: accepted with its full length; PARTIAL; or the error */
};

#define ROW(text, want)                                                                            \
    {                                                                                              \
        STR(text), want                                                                            \
    }

static const struct vector requests[] = {
    /* legal */
    ROW(GET "\r\n", WHOLE),
    ROW("GET / HTTP/1.1\r\nhOsT:a\r\n\r\n", WHOLE),
    ROW("GET / HTTP/1.1\r\nHost: \t a:80 \t\r\n\r\n", WHOLE),
    ROW("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", WHOLE),
    ROW("GET / HTTP/1.1\r\nHost:\r\n\r\n", WHOLE),
    ROW("GET / HTTP/1.0\r\n\r\n", WHOLE),
    ROW("\r\n\r\n" GET "\r\n", WHOLE),
    ROW("HEAD /x?a=b&c HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", WHOLE),
    ROW("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", WHOLE),
    ROW("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n", WHOLE),
    ROW("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", WHOLE),
    ROW("PUT / HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("PATCH / HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("DELETE / HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("OPTIONS / HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("GET http://b/x HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW("GET HTTPS://b:8?q HTTP/1.1\r\n" H "\r\n", WHOLE),
    ROW(GET "X-Empty:\r\nx-utf8: \xc3\xa4\r\nX-Tab: a\tb\r\n\r\n", WHOLE),
    ROW(GET "a!#$%&'*+-.^_`|~0Z: x\r\n\r\n", WHOLE),
    ROW(GET "Connection: foo, close\r\nConnection: keep-alive\r\n\r\n", WHOLE),
    /* incomplete */
    ROW("", PARTIAL),
    ROW("\r", PARTIAL),
    ROW("GET", PARTIAL),
    ROW("GET / HTTP/1.1", PARTIAL),
    ROW("GET / HTTP/1.1\r", PARTIAL),
    ROW(GET, PARTIAL),
    ROW(GET "\r", PARTIAL),
    /* line ends */
    ROW("GET / HTTP/1.1\n" H "\r\n", ERR_SYNTAX),
    ROW(GET "A: b\n\r\n", ERR_SYNTAX),
    ROW(GET "\n", ERR_SYNTAX),
    ROW(GET "A: b\rTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\r\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\rc", ERR_SYNTAX),
    ROW("\n" GET "\r\n", ERR_SYNTAX),
    ROW("\r\n\r\n\r\n\r\n\r\n" GET "\r\n", ERR_SYNTAX),
    /* request line */
    ROW("GET  / HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /  HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.1 \r\n" H "\r\n", ERR_SYNTAX),
    ROW(" GET / HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET\t/ HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / http/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.F\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.11\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/+1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/2.0\r\n" H "\r\n", -EPROTONOSUPPORT),
    ROW("GET / HTTP/0.9\r\n\r\n", -EPROTONOSUPPORT),
    ROW("GET / HTTP/1.2\r\n" H "\r\n", -EPROTONOSUPPORT),
    ROW("PRI * HTTP/2.0\r\n\r\n", -ENOSYS),
    ROW("get / HTTP/1.1\r\n" H "\r\n", -ENOSYS),
    ROW("TRACE / HTTP/1.1\r\n" H "\r\n", -ENOSYS),
    ROW("CONNECT a:443 HTTP/1.1\r\n" H "\r\n", -ENOSYS),
    ROW("G\x01T / HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("\x16\x03\x01\r\n\r\n", ERR_SYNTAX),
    ROW("OPTIONS * HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET a:443 HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET ftp://b/x HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET http:///x HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET http://u@b/x HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET http:/b HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET x HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET ?x HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /#f HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /\x01 HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /\0 HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /\x7f HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    ROW("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", ERR_SYNTAX),
    /* headers */
    ROW("GET / HTTP/1.1\r\n\r\n", ERR_SYNTAX),
    ROW(GET H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.0\r\n" H H "\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A : b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A\t: b\r\n\r\n", ERR_SYNTAX),
    ROW(GET " A: b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\r\n c\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\r\n\tc\r\n\r\n", ERR_SYNTAX),
    ROW(GET ": b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A(: b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "\xc3\xa4: b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: \x01\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\0c\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: \x7f\r\n\r\n", ERR_SYNTAX),
    ROW(GET "A: b\x0b\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Connection: a b\r\n\r\n", ERR_SYNTAX),
    /* framing */
    ROW(GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 5, 5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: +5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: -5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 0x5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 5 5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length:\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 9223372036854775808\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 18446744073709551621\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: gzip\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: gzip, chunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: chunked, chunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: \"chunked\"\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: xchunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: chunked;q=1\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding:\r\n\r\n", ERR_SYNTAX),
    ROW(GET "Transfer-Encoding : chunked\r\n\r\n", ERR_SYNTAX),
    ROW("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
};

static const struct vector responses[] = {
    ROW("HTTP/1.1 200 OK\r\n\r\n", WHOLE),
    ROW("HTTP/1.1 200 \r\n\r\n", WHOLE),
    ROW("HTTP/1.1 200\r\n\r\n", WHOLE),
    ROW("HTTP/1.0 599 a  b \xc3\xa4\r\n\r\n", WHOLE),
    ROW("HTTP/1.1 100 Continue\r\n\r\n", WHOLE),
    ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", WHOLE),
    ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WHOLE),
    ROW("HTTP/1.1 200 OK\r\n", PARTIAL),
    ROW("HTTP/1.1 2000 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 20 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 099 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 600 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 -20 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1  200 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 O\x01K\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 OK\n\n", ERR_SYNTAX),
    ROW("\r\nHTTP/1.1 200 OK\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/2.0 200 OK\r\n\r\n", -EPROTONOSUPPORT),
    ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ERR_SYNTAX),
    ROW("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ERR_SYNTAX),
};

typedef int parse_fn(struct str text, struct err *err);

static int parse_request(struct str text, struct err *err)
{
    struct http_request_head head;
    return http_parse_request(text, &head, err);
}

static int parse_response(struct str text, struct err *err)
{
    struct http_response_head head;
    return http_parse_response(text, false, &head, err);
}

/* The verdict on a heap copy of exactly that size, so that a read behind it is seen. */
static int parse_copy(parse_fn *parse, struct str text, struct err *err)
{
    auto_free char *copy = text.len ? malloc(text.len) : NULL;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return parse(str_sub(copy, text.len), err);
}

static void check_vector(parse_fn *parse, const struct vector *v)
{
    struct err err = {0};
    int rc = parse_copy(parse, v->text, &err);
    if (rc != (v->want == WHOLE ? (int)v->text.len : v->want))
        fail_msg("got %d (%s) for: %.*s", rc, err.text, STR_ARGS(v->text));
    assert_int_equal(err.code, rc < 0 ? rc : 0);
}

/* Byte by byte: needs more until the verdict comes, which is the same as for the whole. */
static void check_prefixes(parse_fn *parse, const struct vector *v)
{
    struct err err = {0};
    int rc = 0;
    for (size_t n = 0; n <= v->text.len && rc == 0; n++)
        rc = parse_copy(parse, str_sub(v->text.ptr, n), &err);
    if (rc != (v->want == WHOLE ? (int)v->text.len : v->want))
        fail_msg("byte by byte: got %d (%s) for: %.*s", rc, err.text, STR_ARGS(v->text));
}

static void test_request_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        check_vector(parse_request, &requests[i]);
        check_prefixes(parse_request, &requests[i]);
    }
}

static void test_response_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        check_vector(parse_response, &responses[i]);
        check_prefixes(parse_response, &responses[i]);
    }
}

static void assert_str(struct str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr, want, got.len);
}

static void test_request_fields(void **state)
{
    (void)state;
    struct http_request_head head;
    struct str text = STR("POST /v1/x%20y?a=b?c HTTP/1.1\r\nHost: a\r\nX-A:  1  \r\nx-a: 2\r\n"
                          "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\nbody");
    assert_int_equal(http_parse_request(text, &head, NULL), (int)text.len - 4);
    assert_int_equal(head.method, HTTP_POST);
    assert_str(head.target, "/v1/x%20y?a=b?c");
    assert_str(head.path, "/v1/x%20y");
    assert_str(head.query, "a=b?c");
    assert_int_equal(head.minor, 1);
    assert_true(head.keep_alive);
    assert_true(head.expect_continue);
    assert_int_equal(head.body, HTTP_BODY_LENGTH);
    assert_int_equal(head.content_length, 12);
    assert_int_equal(head.headers.count, 5);
    assert_str(http_headers_get(&head.headers, "x-A"), "1");
    assert_null(http_headers_get(&head.headers, "x-b").ptr);
}

static void test_target_forms(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        {"/", "/", ""},
        {"/?", "/", ""},
        {"//x", "//x", ""},
        {"/a?b?c", "/a", "b?c"},
        {"http://h", "/", ""},
        {"http://h?q", "/", "q"},
        {"http://h:80/p?q", "/p", "q"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_request_head head;
        auto_free char *text = mem_printf("GET %s HTTP/1.0\r\n\r\n", rows[i].target);
        assert_true(http_parse_request(str_of(text), &head, NULL) > 0);
        assert_str(head.target, rows[i].target);
        assert_str(head.path, rows[i].path);
        assert_str(head.query, rows[i].query);
    }
}

static void test_keep_alive_and_expect(void **state)
{
    (void)state;
    static const struct {
        const char *version, *header;
        bool keep_alive, expect;
    } rows[] = {
        {"1.1", "A: b", true, false},
        {"1.1", "Connection: close", false, false},
        {"1.1", "Connection: x ,, CLOSE ", false, false},
        {"1.1", "Connection: keep-alive, close", false, false},
        {"1.1", "Connection: closed", true, false},
        {"1.0", "A: b", false, false},
        {"1.0", "Connection: Keep-Alive", true, false},
        {"1.0", "Connection: keep-alive, close", false, false},
        {"1.1", "Expect: 100-continue", true, true},
        {"1.0", "Expect: 100-continue", false, false},
        {"1.1", "Expect: other", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_request_head head;
        auto_free char *text =
            mem_printf("GET / HTTP/%s\r\nHost: a\r\n%s\r\n\r\n", rows[i].version, rows[i].header);
        assert_true(http_parse_request(str_of(text), &head, NULL) > 0);
        assert_int_equal(head.keep_alive, rows[i].keep_alive);
        assert_int_equal(head.expect_continue, rows[i].expect);
    }
}

static void test_response_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool to_head;
        enum http_body_kind body;
        bool keep_alive;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_BODY_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, HTTP_BODY_NONE, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BODY_CHUNKED, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, HTTP_BODY_NONE, true},
        {"HTTP/1.1 200 OK\r\n\r\n", false, HTTP_BODY_TO_CLOSE, false},
        {"HTTP/1.1 200 OK\r\n\r\n", true, HTTP_BODY_NONE, true},
        {"HTTP/1.1 204 No\r\n\r\n", false, HTTP_BODY_NONE, true},
        {"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", false, HTTP_BODY_NONE, true},
        {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false, HTTP_BODY_NONE, false},
        {"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", false, HTTP_BODY_NONE, true},
        {"HTTP/1.1 100 Go\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BODY_NONE, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_BODY_LENGTH, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_response_head head;
        assert_true(http_parse_response(str_of(rows[i].text), rows[i].to_head, &head, NULL) > 0);
        assert_int_equal(head.body, rows[i].body);
        assert_int_equal(head.keep_alive, rows[i].keep_alive);
    }
}

/* A request whose header lines are `count` times `line`. */
static int parse_many(const char *line, unsigned count)
{
    struct buf text = {0};
    buf_add_cstr(&text, "GET / HTTP/1.0\r\n");
    for (unsigned i = 0; i < count; i++)
        buf_add_cstr(&text, line);
    buf_add_cstr(&text, "\r\n");
    int rc = parse_request(buf_str(&text), NULL);
    rc = rc == (int)text.len ? WHOLE : rc;
    buf_fini(&text);
    return rc;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(parse_many("A: b\r\n", HTTP_HEADERS_MAX), WHOLE);
    assert_int_equal(parse_many("A: b\r\n", HTTP_HEADERS_MAX + 1), ERR_TOO_LARGE);

    assert_int_equal(parse_many("Connection: a, b\r\n", 16), WHOLE);
    assert_int_equal(parse_many("Connection: a, b\r\n", 17), ERR_SYNTAX);

    auto_free char *fill = mem_alloc(HTTP_HEAD_MAX + 1);
    memset(fill, 'x', HTTP_HEAD_MAX);
    int overhead = (int)strlen("GET / HTTP/1.0\r\nA: \r\n\r\n");
    auto_free char *fits = mem_printf("A: %.*s\r\n", HTTP_HEAD_MAX - overhead, fill);
    assert_int_equal(parse_many(fits, 1), WHOLE);
    auto_free char *over = mem_printf("A: %.*s\r\n", HTTP_HEAD_MAX - overhead + 1, fill);
    assert_int_equal(parse_many(over, 1), ERR_TOO_LARGE);

    auto_free char *target = mem_printf("GET /%.*s HTTP/1.0\r\n\r\n", HTTP_TARGET_MAX - 1, fill);
    assert_int_equal(parse_request(str_of(target), NULL), (int)strlen(target));
    auto_free char *longer = mem_printf("GET /%.*s HTTP/1.0\r\n\r\n", HTTP_TARGET_MAX, fill);
    assert_int_equal(parse_request(str_of(longer), NULL), ERR_TOO_LARGE);
}

/* Values are looked at several bytes at a time: every byte at every place, all the same. */
static void test_each_byte_of_a_value(void **state)
{
    (void)state;
    enum { SIZE = 19 };
    for (size_t at = 0; at < SIZE; at++)
        for (int c = 0; c < 256; c++) {
            char value[SIZE];
            memset(value, at % 2 ? 'x' : 0x80, SIZE);
            value[at] = (char)c;
            struct buf text = {0};
            buf_add_cstr(&text, "GET / HTTP/1.0\r\nA: x");
            buf_add(&text, value, SIZE);
            buf_add_cstr(&text, "x\r\n\r\n");
            bool is_good = c == '\t' || (c >= 0x20 && c != 0x7f);
            int want = is_good ? (int)text.len : ERR_SYNTAX;
            int got = parse_request(buf_str(&text), NULL);
            if (got != want)
                fail_msg("byte 0x%02x at %zu: %d, not %d", (unsigned)c, at, got, want);
            buf_fini(&text);
        }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(http_method_name(HTTP_OPTIONS), "OPTIONS");
    assert_string_equal(http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_vectors),
        cmocka_unit_test(test_response_vectors),
        cmocka_unit_test(test_request_fields),
        cmocka_unit_test(test_target_forms),
        cmocka_unit_test(test_keep_alive_and_expect),
        cmocka_unit_test(test_response_bodies),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_each_byte_of_a_value),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
