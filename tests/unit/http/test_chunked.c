/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Decodes one piece of input as far as it goes; payload is added to `out`. */
static int feed(struct http_chunked *state, struct str *piece, struct buf *out)
{
    for (;;) {
        struct str payload;
        struct err err = {0};
        int rc = http_chunked_decode(state, piece, &payload, &err);
        assert_int_equal(err.code, rc < 0 ? rc : 0);
        buf_add_str(out, payload);
        if (rc != 0 || payload.len == 0)
            return rc;
    }
}

static const struct {
    struct str text;
    int want;
    const char *payload; /* when accepted */
    size_t behind;       /* bytes that belong to the next message */
} rows[] = {
    {STR("0\r\n\r\n"), 1, "", 0},
    {STR("5\r\nhello\r\n0\r\n\r\n"), 1, "hello", 0},
    {STR("5\r\nhello\r\n0\r\n\r\nGET"), 1, "hello", 3},
    {STR("005\r\nhello\r\nA\r\n0123456789\r\na\r\nabcdefghij\r\n00\r\n\r\n"), 1,
     "hello0123456789abcdefghij", 0},
    {STR("1\r\n\n\r\n0\r\nA: b\r\nX-Y:\r\n\r\n"), 1, "\n", 0},
    {STR("5\r\nhello\r\n0\r\n"), 0, "hello", 0},
    {STR("5\r\nhel"), 0, "hel", 0},
    {STR("\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("g\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("-1\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("+1\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0x5\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5 \r\nhello\r\n"), ERR_SYNTAX, NULL, 0},
    {STR(" 5\r\nhello\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\nhello\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\rhello\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5;a=b\r\nhello\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\r\nhello0\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\r\nhello\n0\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\r\nhello\rX0\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("5\r\nhelloXX0\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\n\rX"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\n\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\nA : b\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\nA: b\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\nA: b\r\n c\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\nA: \x01\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("0\r\n: b\r\n\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("7fffffffffffffff\r\n"), ERR_SYNTAX, NULL, 0},
    {STR("10000000000000005\r\nhello"), ERR_SYNTAX, NULL, 0},
    {STR("fffffffffffffff\r\nx"), 0, "x", 0},
};

static void check_split(size_t row, size_t at)
{
    struct http_chunked state = {0};
    struct buf out = {0};
    struct str first = str_sub(rows[row].text.ptr, at);
    struct str second = str_skip(rows[row].text, at);
    int rc = feed(&state, &first, &out);
    size_t behind = first.len + second.len;
    if (rc == 0) {
        rc = feed(&state, &second, &out);
        behind = second.len;
    }
    if (rc != rows[row].want)
        fail_msg("row %zu split at %zu: got %d", row, at, rc);
    if (rc >= 0) {
        assert_string_equal(out.ptr ? out.ptr : "", rows[row].payload);
        assert_int_equal(behind, rows[row].behind);
    }
    buf_fini(&out);
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < ARRAY_LEN(rows); row++)
        for (size_t at = 0; at <= rows[row].text.len; at++)
            check_split(row, at);
}

static void test_trailers_are_bounded(void **state)
{
    (void)state;
    struct http_chunked decoder = {0};
    struct buf out = {0};
    struct str start = STR("0\r\n");
    assert_int_equal(feed(&decoder, &start, &out), 0);
    int rc = 0;
    int lines = 0;
    for (; rc == 0 && lines < 10000; lines++) {
        struct str line = STR("A: bcdef\r\n");
        rc = feed(&decoder, &line, &out);
    }
    assert_int_equal(rc, ERR_SYNTAX);
    assert_int_equal(lines, 8192 / 10 + 1);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_trailers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
