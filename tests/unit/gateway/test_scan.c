/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_finds_model_and_stream(void **state)
{
    static const struct {
        const char *body, *model;
        bool stream;
    } rows[] = {
        {"{}", "", false},
        {" { } \n", "", false},
        {"{\"model\":\"a\"}", "a", false},
        {"{\"model\":\"a\",\"stream\":true}", "a", true},
        {"{\"stream\" : false , \"model\" : \"a b\"}", "a b", false},
        {"{\"stream\":null,\"model\":\"a\"}", "a", false},
        {"\t{\r\n\"x\":[{\"model\":\"no\",\"stream\":true}],\"model\":\"yes\"}", "yes", false},
        {"{\"x\":\"\\\"model\\\":\\\"no\\\"\",\"model\":\"yes\"}", "yes", false},
        {"{\"x\":\"\\\\\",\"model\":\"yes\"}", "yes", false},
        {"{\"x\":\"\\\\\\\"\",\"model\":\"yes\"}", "yes", false},
        {"{\"a\":-1.5E+3,\"b\":null,\"c\":{\"d\":[[],{}]},\"model\":\"yes\"}", "yes", false},
        {"{\"models\":1,\"mode\":2,\"Model\":3,\"model\":\"yes\"}", "yes", false},
        {"{\"a\\u0000b\":1,\"\\ud800\":2,\"model\":\"yes\"}", "yes", false},
        {"{\"model\":\"Qwen\\/Qwen3\"}", "Qwen/Qwen3", false},
        {"{\"model\":\"\\u00e4\\u20ac\\ud83d\\ude00\\n\"}",
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan scan;
        struct err err = {0};
        if (scan_request(str_of(rows[i].body), &scan, &err) != 0)
            fail_msg("%s: %s", rows[i].body, err.text);
        assert_string_equal(scan.model, rows[i].model);
        assert_int_equal(scan.stream, rows[i].stream);
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *text;
    } rows[] = {
        {"", ERR_SYNTAX, "empty"},
        {"  ", ERR_SYNTAX, "an object is expected at byte 2"},
        {"[]", ERR_SYNTAX, "an object is expected at byte 0"},
        {"\xef\xbb\xbf{}", ERR_SYNTAX, "an object is expected"},
        {"{", ERR_SYNTAX, "a key is missing at byte 1"},
        {"{,}", ERR_SYNTAX, "a key is missing at byte 1"},
        {"{\"a\":1,}", ERR_SYNTAX, "a key is missing at byte 7"},
        {"{\"a\" 1}", ERR_SYNTAX, "a colon"},
        {"{\"a\":}", ERR_SYNTAX, "a value"},
        {"{\"a\":1 \"b\":2}", ERR_SYNTAX, "a comma or brace"},
        {"{\"a\":\"b}", ERR_SYNTAX, "a string doesn't end"},
        {"{\"a\":\"b\\\"}", ERR_SYNTAX, "a string doesn't end"},
        {"{\"a\":[1,2}", ERR_SYNTAX, "closes another kind"},
        {"{\"a\":{\"b\":1]}", ERR_SYNTAX, "closes another kind"},
        {"{\"a\":[1,2", ERR_SYNTAX, "isn't closed"},
        {"{\"a\":[\"", ERR_SYNTAX, "a string doesn't end"},
        {"{} {}", ERR_SYNTAX, "something follows the object at byte 3"},
        {"{\"model\":1}", ERR_INVALID, "model must be a string"},
        {"{\"model\":null}", ERR_INVALID, "model must be a string"},
        {"{\"model\":[\"a\"]}", ERR_INVALID, "model must be a string"},
        {"{\"model\":\"\"}", ERR_INVALID, "model must not be empty"},
        {"{\"model\":\"a\\u0000b\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"\\ud800x\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"\\udc00\\ud800\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"\\u12g4\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"\\u12\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"\\x41\"}", ERR_SYNTAX, "bad escape"},
        {"{\"model\":\"a\nb\"}", ERR_SYNTAX, "control character"},
        {"{\"model\":\"a\",\"model\":\"b\"}", ERR_INVALID, "model comes twice"},
        {"{\"model\":\"a\",\"model\":\"a\"}", ERR_INVALID, "model comes twice"},
        {"{\"mod\\u0065l\":\"a\"}", ERR_INVALID, "model must be written without escapes"},
        {"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", ERR_INVALID, "without escapes"},
        {"{\"\\u0073tream\":true}", ERR_INVALID, "stream must be written without escapes"},
        {"{\"stream\":true,\"stream\":false}", ERR_INVALID, "stream comes twice"},
        {"{\"stream\":1}", ERR_INVALID, "stream must be true or false"},
        {"{\"stream\":\"true\"}", ERR_INVALID, "stream must be true or false"},
        {"{\"stream\":truer}", ERR_INVALID, "stream must be true or false"},
        {"{\"stream\":[true]}", ERR_INVALID, "stream must be true or false"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan scan = {.model = "untouched"};
        struct err err = {0};
        int rc = scan_request(str_of(rows[i].body), &scan, &err);
        if (rc != rows[i].code || !strstr(err.text, rows[i].text))
            fail_msg("%s: %d %s", rows[i].body, rc, err.text);
        assert_string_equal(scan.model, "untouched");
    }
}

/* {"model":"aaa..."} with a name of `n` bytes. */
static int scan_name_of(size_t n, struct scan *scan)
{
    struct buf body = {0};
    buf_add_cstr(&body, "{\"model\":\"");
    for (size_t i = 0; i < n; i++)
        buf_add_char(&body, 'a');
    buf_add_cstr(&body, "\"}");
    int rc = scan_request(buf_str(&body), scan, NULL);
    buf_fini(&body);
    return rc;
}

static void test_limits_the_name(void **state)
{
    struct scan scan;
    assert_int_equal(scan_name_of(SCAN_MODEL_MAX, &scan), 0);
    assert_int_equal(strlen(scan.model), SCAN_MODEL_MAX);
    assert_int_equal(scan_name_of(SCAN_MODEL_MAX + 1, &scan), ERR_TOO_LARGE);
}

static int scan_depth_of(size_t depth)
{
    struct buf body = {0};
    struct scan scan;
    buf_add_cstr(&body, "{\"a\":");
    for (size_t i = 0; i < depth; i++)
        buf_add_char(&body, i % 3 ? '[' : '{');
    for (size_t i = depth; i-- > 0;)
        buf_add_char(&body, i % 3 ? ']' : '}');
    buf_add_cstr(&body, "}");
    int rc = scan_request(buf_str(&body), &scan, NULL);
    buf_fini(&body);
    return rc;
}

static void test_limits_the_depth(void **state)
{
    assert_int_equal(scan_depth_of(SCAN_DEPTH_MAX), 0);
    assert_int_equal(scan_depth_of(SCAN_DEPTH_MAX + 1), ERR_TOO_LARGE);
}

/* Every cut of a good body is refused and reads nothing behind its end (for the sanitizer). */
static void test_refuses_every_cut(void **state)
{
    static const char body[] =
        "{\"model\":\"a\\u00e4\",\"x\":[{\"y\":\"\\\\\\\"\"}],\"stream\":true,\"n\":-1}";
    struct scan scan;
    for (size_t n = 0; n < sizeof body - 1; n++) {
        auto_free char *cut = mem_alloc(n);
        memcpy(cut, body, n);
        assert_true(scan_request(str_sub(cut, n), &scan, NULL) < 0);
    }
    assert_int_equal(scan_request(str_of(body), &scan, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_model_and_stream), cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_limits_the_name),        cmocka_unit_test(test_limits_the_depth),
        cmocka_unit_test(test_refuses_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
