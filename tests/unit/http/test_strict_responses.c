/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses that other parsers could read differently: an engine's head is checked as strictly as a
 * client's. Each row is what the peer sends before it closes.
 */
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "client_fixture.h"

#define HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* `code` 0: whole, with this body. */
static const struct {
    const char *bytes;
    int code;
    const char *body;
} rows[] = {
    /* whole */
    {HEAD "Content-Length: 2\r\n\r\nok", 0, "ok"},
    {HEAD "content-length:2\r\n\r\nok", 0, "ok"},
    {HEAD "\r\nok", 0, "ok"},
    {CHUNKED "2\r\nok\r\n0\r\n\r\n", 0, "ok"},
    {CHUNKED "1\r\no\r\n1\r\nk\r\n0\r\nContent-Length: 9\r\n\r\n", 0, "ok"},
    {"HTTP/1.0 200 OK\r\n\r\nok", 0, "ok"},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 0, ""},
    {"HTTP/1.1 100 Continue\r\n\r\n" HEAD "Content-Length: 2\r\n\r\nok", 0, "ok"},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" CHUNKED "2\r\nok\r\n0\r\n\r\n", 0, "ok"},
    {HEAD "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nsurplus", 0, "ok"},
    /* cut */
    {HEAD "Content-Length: 3\r\n\r\nok", ERR_CLOSED, NULL},
    {CHUNKED "2\r\nok\r\n", ERR_CLOSED, NULL},
    {CHUNKED "2\r\nok\r\n0\r\n", ERR_CLOSED, NULL},
    {"HTTP/1.1 200 OK\r\nA: b", ERR_CLOSED, NULL},
    /* lengths */
    {HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 2, 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: +2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: -2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 0x2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 2 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length:\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 18446744073709551618\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length : 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    /* codings and chunks */
    {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {HEAD "Transfer-Encoding: identity\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Transfer-Encoding: xchunked\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "+2\r\nok\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "0x2\r\nok\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "2;a=b\r\nok\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "2 \r\nok\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "2\nok\n0\n\n", ERR_PROTOCOL, NULL},
    {CHUNKED "2\r\nokay\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    {CHUNKED "10000000000000002\r\nok\r\n0\r\n\r\n", ERR_PROTOCOL, NULL},
    /* lines */
    {"HTTP/1.1 200 OK\n\nok", ERR_PROTOCOL, NULL},
    {HEAD "A: b\nContent-Length: 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "A: b\rC: d\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "A: b\r\n c\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "A : b\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD " A: b\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "A: \x01\r\n\r\nok", ERR_PROTOCOL, NULL},
    {HEAD "no header\r\n\r\nok", ERR_PROTOCOL, NULL},
    /* first lines */
    {"\r\n" HEAD "Content-Length: 2\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/2.0 200 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"http/1.1 200 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/1.1  200 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/1.1 099 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/1.1 600 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/1.1 2000 OK\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\nok", ERR_PROTOCOL, NULL},
    {"SSH-2.0-OpenSSH_9.2\r\n", ERR_PROTOCOL, NULL},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct reply reply = {.bytes = rows[i].bytes, .closes = true};
        struct fixture f;
        struct record record;
        set_up(&f, &reply, 1);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        const char *body = record.body.ptr ? record.body.ptr : "";
        if (record.code != rows[i].code || (rows[i].body && strcmp(body, rows[i].body) != 0))
            fail_msg("%s: code %d, %s, body %s", rows[i].bytes, record.code, record.text.text,
                     body);
        buf_fini(&record.body);
        tear_down(&f);
    }
}

/* A connection on which more came than was asked for, or which is in doubt, is not used again. */
static void test_doubtful_connections_are_not_kept(void **state)
{
    (void)state;
    static const char *const doubtful[] = {
        HEAD "Content-Length: 2\r\n\r\nok" HEAD "Content-Length: 6\r\n\r\npoison",
        CHUNKED "2\r\nok\r\n0\r\n\r\n" HEAD,
        "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        HEAD "Content-Length: 2\r\nConnection: close\r\n\r\nok",
    };
    for (size_t i = 0; i < ARRAY_LEN(doubtful); i++) {
        const struct reply replies[] = {{.bytes = doubtful[i]}, {.bytes = OK}};
        struct fixture f;
        struct record record;
        set_up(&f, replies, 2);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        assert_int_equal(record.code, 0);
        buf_fini(&record.body);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        assert_int_equal(f.server.accepted, 2);
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_doubtful_connections_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
