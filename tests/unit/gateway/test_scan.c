/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include "base/buf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- however it is cut ---- */

/* Each piece in memory of its own, so that the sanitizer sees a byte too far. */
static int feed_copy(struct scan *scan, const char *ptr, size_t len, struct err *err)
{
    auto_free char *copy = mem_alloc(len);
    memcpy(copy, ptr, len);
    return scan_feed(scan, str_sub(copy, len), err);
}

/* In pieces that end at `cuts`, which ascend. */
static int scan_pieces(struct str body, const size_t *cuts, size_t count, struct scan_request *ret,
                       struct err *err)
{
    struct scan scan;
    int rc = 0;
    size_t at = 0;
    scan_init(&scan);
    for (size_t i = 0; rc == 0 && i <= count; i++) {
        size_t end = i < count ? cuts[i] : body.len;
        rc = feed_copy(&scan, body.ptr + at, end - at, err);
        at = end;
    }
    if (rc == 0)
        rc = scan_end(&scan, err);
    *ret = scan.request;
    return rc;
}

static int scan_bytewise(struct str body, struct scan_request *ret, struct err *err)
{
    struct scan scan;
    int rc = 0;
    scan_init(&scan);
    for (size_t i = 0; rc == 0 && i < body.len; i++)
        rc = feed_copy(&scan, body.ptr + i, 1, err);
    if (rc == 0)
        rc = scan_end(&scan, err);
    *ret = scan.request;
    return rc;
}

static bool same_span(struct scan_span a, struct scan_span b)
{
    return a.at == b.at && a.len == b.len;
}

static bool same(const struct scan_request *a, const struct scan_request *b)
{
    return strcmp(a->model, b->model) == 0 && same_span(a->model_value, b->model_value) &&
           a->stream == b->stream && a->asks_usage == b->asks_usage &&
           a->options_is_empty == b->options_is_empty &&
           same_span(a->options_value, b->options_value) &&
           same_span(a->usage_value, b->usage_value) && a->open_at == b->open_at &&
           a->output_cap == b->output_cap && a->choices == b->choices &&
           a->prompt_bytes == b->prompt_bytes;
}

/* Whole, and then the same in all ways to cut it in three, and byte by byte. */
static int scan_all_cuts(struct str body, struct scan_request *ret, struct err *err)
{
    struct scan_request whole = {0};
    struct scan_request pieces = {0};
    int rc = scan_pieces(body, NULL, 0, &whole, err);
    for (size_t a = 0; a <= body.len; a++)
        for (size_t b = a; b <= body.len; b++) {
            struct err other = {0};
            int again = b < body.len ? scan_pieces(body, (size_t[]){a, b}, 2, &pieces, &other)
                                     : scan_bytewise(body, &pieces, &other);
            if (again != rc || strcmp(other.text, err->text) != 0 ||
                (rc == 0 && !same(&whole, &pieces)))
                fail_msg("%.*s cut at %zu and %zu: %d %s", STR_ARGS(body), a, b, again, other.text);
        }
    if (rc == 0)
        *ret = whole;
    return rc;
}

/* ---- what is found, what is refused ---- */

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
        struct scan_request scan;
        struct err err = {0};
        if (scan_all_cuts(str_of(rows[i].body), &scan, &err) != 0)
            fail_msg("%s: %s", rows[i].body, err.text);
        assert_string_equal(scan.model, rows[i].model);
        assert_int_equal(scan.stream, rows[i].stream);
    }
}

static const struct {
    const char *body;
    int code;
    const char *text;
} refused[] = {
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
    {"{\"model\":\"\\ud800\\ue000\"}", ERR_SYNTAX, "bad escape"},
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
    {"{\"stream\":}", ERR_SYNTAX, "a value is missing at byte 10"},
    {"{\"model\":\"a\\u00", ERR_SYNTAX, "a string doesn't end"},
    {"{\"model\":\"\\ud800\\", ERR_SYNTAX, "a string doesn't end"},
    {"{\"stream_options\":true}", ERR_INVALID, "stream_options must be an object or null"},
    {"{\"stream_options\":[]}", ERR_INVALID, "stream_options must be an object or null"},
    {"{\"stream_options\":\"\"}", ERR_INVALID, "stream_options must be an object or null"},
    {"{\"stream_options\":{\"include_usage\":1}}", ERR_INVALID,
     "include_usage must be true or false"},
    {"{\"stream_options\":{\"include_usage\":true,\"include_usage\":true}}", ERR_INVALID,
     "include_usage comes twice"},
    {"{\"stream_options\":{\"include\\u005fusage\":true}}", ERR_INVALID,
     "include_usage must be written without escapes"},
    {"{\"stream_options\":{},\"stream_options\":null}", ERR_INVALID,
     "stream_options comes twice"},
    {"{\"stream_options\":{,}}", ERR_SYNTAX, "a key is missing at byte 19"},
    {"{\"stream_options\":{\"a\":1]}", ERR_SYNTAX, "a comma or brace is missing"},
    {"{\"stream_options\":{\"a\":1}", ERR_SYNTAX, "a comma or brace is missing at byte 25"},
    {"{\"max_tokens\":1e3}", ERR_INVALID, "max_tokens must be an integer or null, not 1e3"},
    {"{\"max_tokens\":10.0}", ERR_INVALID, "max_tokens must be an integer or null, not 10.0"},
    {"{\"max_tokens\":\"10\"}", ERR_INVALID, "max_tokens must be an integer or null"},
    {"{\"max_tokens\":true}", ERR_INVALID, "max_tokens must be an integer or null, not true"},
    {"{\"max_tokens\":[1]}", ERR_INVALID, "max_tokens must be an integer or null"},
    {"{\"max_tokens\":010}", ERR_INVALID, "max_tokens must be an integer or null, not 010"},
    {"{\"max_tokens\":+1}", ERR_INVALID, "max_tokens must be an integer or null, not +1"},
    {"{\"max_tokens\":-}", ERR_INVALID, "max_tokens must be an integer or null, not -"},
    {"{\"max_tokens\":1,\"max_tokens\":1}", ERR_INVALID, "max_tokens comes twice"},
    {"{\"max_token\\u0073\":1}", ERR_INVALID, "max_tokens must be written without"},
    {"{\"max_completion_tokens\":{}}", ERR_INVALID, "max_completion_tokens must be"},
    {"{\"max_output_tokens\":1.5}", ERR_INVALID, "max_output_tokens must be"},
    {"{\"max_tokens_to_sample\":1E1}", ERR_INVALID, "max_tokens_to_sample must be"},
    {"{\"n\":2.0}", ERR_INVALID, "n must be an integer or null, not 2.0"},
    {"{\"n\":\"2\"}", ERR_INVALID, "n must be an integer or null"},
    {"{\"\\u006e\":2}", ERR_INVALID, "the key n must be written without escapes"},
    {"{\"best_of\":false}", ERR_INVALID, "best_of must be an integer or null, not false"},
};

static void test_refuses(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct scan_request scan = {.model = "untouched"};
        struct err err = {0};
        int rc = scan_all_cuts(str_of(refused[i].body), &scan, &err);
        if (rc != refused[i].code || !strstr(err.text, refused[i].text))
            fail_msg("%s: %d %s", refused[i].body, rc, err.text);
        assert_string_equal(scan.model, "untouched");
    }
}

static struct str at_span(struct str body, struct scan_span span)
{
    return str_sub(body.ptr + span.at, span.len);
}

static void test_finds_stream_options(void **state)
{
    static const struct {
        const char *body, *options, *usage;
        bool is_empty, asks;
    } rows[] = {
        {"{}", "", "", false, false},
        {"{\"stream_options\":null}", "null", "", false, false},
        {"{\"stream_options\":{}}", "{}", "", true, false},
        {"{ \"stream_options\" : { \n} , \"a\":1}", "{ \n}", "", true, false},
        {"{\"stream_options\":{\"include_usage\":true}}", "{\"include_usage\":true}", "true", false,
         true},
        {"{\"stream_options\":{\"include_usage\": false }}", "{\"include_usage\": false }",
         "false", false, false},
        {"{\"stream_options\":{\"a\":[{\"include_usage\":true}],\"include_usage\":null}}",
         "{\"a\":[{\"include_usage\":true}],\"include_usage\":null}", "null", false, false},
        {"{\"stream_options\":{\"model\":1,\"stream\":2,\"n\":\"x\"},\"include_usage\":true}",
         "{\"model\":1,\"stream\":2,\"n\":\"x\"}", "", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan_request scan;
        struct err err = {0};
        struct str body = str_of(rows[i].body);
        if (scan_all_cuts(body, &scan, &err) != 0)
            fail_msg("%s: %s", rows[i].body, err.text);
        assert_true(str_eq(at_span(body, scan.options_value), str_of(rows[i].options)));
        assert_true(str_eq(at_span(body, scan.usage_value), str_of(rows[i].usage)));
        assert_int_equal(scan.options_is_empty, rows[i].is_empty);
        assert_int_equal(scan.asks_usage, rows[i].asks);
    }
}

static void test_finds_caps_and_choices(void **state)
{
    static const struct {
        const char *body;
        int64_t cap, choices;
    } rows[] = {
        {"{}", -1, 1},
        {"{\"max_tokens\":0}", 0, 1},
        {"{\"max_tokens\": 17 }", 17, 1},
        {"{\"max_tokens\":null,\"n\":null,\"best_of\":null}", -1, 1},
        {"{\"max_tokens\":-1}", -1, 1},
        {"{\"max_tokens\":-17,\"max_output_tokens\":5}", 5, 1},
        {"{\"max_tokens\":5,\"max_completion_tokens\":7}", 7, 1},
        {"{\"max_completion_tokens\":7,\"max_tokens\":5}", 7, 1},
        {"{\"max_tokens_to_sample\":9,\"max_output_tokens\":8}", 9, 1},
        {"{\"max_tokens\":2147483647}", 2147483647, 1},
        {"{\"max_tokens\":2147483648}", 2147483647, 1},
        {"{\"max_tokens\":99999999999999999999999999}", 2147483647, 1},
        {"{\"x\":{\"max_tokens\":3,\"n\":4},\"max_tokens_\":\"a\"}", -1, 1},
        {"{\"n\":1}", -1, 1},
        {"{\"n\":3,\"best_of\":2}", -1, 3},
        {"{\"n\":2,\"best_of\":5}", -1, 5},
        {"{\"n\":1024}", -1, 1024},
        {"{\"n\":1025}", -1, 1},
        {"{\"n\":0}", -1, 1},
        {"{\"n\":-4}", -1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scan_request scan;
        struct err err = {0};
        if (scan_all_cuts(str_of(rows[i].body), &scan, &err) != 0)
            fail_msg("%s: %s", rows[i].body, err.text);
        if (scan.output_cap != rows[i].cap || scan.choices != rows[i].choices)
            fail_msg("%s: %" PRId64 " %" PRId64, rows[i].body, scan.output_cap, scan.choices);
    }
}

static void test_says_where_the_model_stands(void **state)
{
    struct str body = STR(" { \"a\":1,\"model\" : \"x\\u0041\" , \"b\":2}");
    struct scan_request request;
    struct err err = {0};
    struct scan scan;
    assert_int_equal(scan_all_cuts(body, &request, &err), 0);
    assert_int_equal(request.open_at, 2);
    assert_true(str_eq(at_span(body, request.model_value), STR("\"x\\u0041\"")));
    scan_init(&scan);
    for (size_t i = 0; i < body.len; i++) {
        bool is_behind = i >= request.model_value.at + request.model_value.len;
        assert_int_equal(scan_has_model(&scan), is_behind);
        assert_int_equal(scan_feed(&scan, str_sub(body.ptr + i, 1), NULL), 0);
    }
}

/* {"a":"<head><fill>..."} with a string of `len` bytes; pieces of `piece` bytes. */
static uint64_t prompt_bytes_of(const char *head, const char *fill, size_t len, size_t piece)
{
    struct buf body = {0};
    struct scan scan;
    buf_add_cstr(&body, "{\"a\":[\"");
    size_t start = body.len;
    buf_add_cstr(&body, head);
    while (body.len - start < len)
        buf_add(&body, fill, strlen(fill));
    body.len = start + len;
    buf_add_cstr(&body, "\"]}");
    scan_init(&scan);
    for (size_t at = 0; at < body.len; at += piece) {
        size_t n = piece < body.len - at ? piece : body.len - at;
        assert_int_equal(scan_feed(&scan, str_sub(body.ptr + at, n), NULL), 0);
    }
    assert_int_equal(scan_end(&scan, NULL), 0);
    uint64_t bytes = scan.request.prompt_bytes;
    buf_fini(&body);
    return bytes;
}

static void test_leaves_payloads_out_of_the_prompt(void **state)
{
    enum { FRAME = 10, LONG = SCAN_PAYLOAD_MIN + 1 };
    static const struct {
        const char *head, *fill;
        size_t len;
        bool is_payload;
    } rows[] = {
        {"", "QUJD", 64, false},
        {"data:", "QUJD", 64, true},
        {"data:", "QUJD", 5, true},
        {"data", "QUJD", 64, false},
        {"xdata:", "QUJD", 64, false},
        {"data:image\\/png;base64,", "QUJD", 1 << 20, true},
        {"data: some text", "QUJD", 64, false},
        {"", "QUJD", LONG, true},
        {"", "QUJD", LONG - 1, false},
        {"", "a word ", LONG, false},
        {"", "\xe4\xb8\xad", LONG / 3 * 3 + 3, false},      /* Chinese has no blanks */
        {"", "\\u4e2d\\u6587", LONG / 12 * 12 + 12, false}, /* nor has it when escaped */
        {"", "0123456789abcdef", 1 << 20, true},
    };
    static const size_t pieces[] = {1, 3, 7, 1000, 65536, 1 << 21};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t j = 0; j < ARRAY_LEN(pieces); j++) {
            uint64_t bytes = prompt_bytes_of(rows[i].head, rows[i].fill, rows[i].len, pieces[j]);
            if (bytes != FRAME + (rows[i].is_payload ? 0 : rows[i].len))
                fail_msg("row %zu, pieces of %zu: %" PRIu64, i, pieces[j], bytes);
        }
}

/* What has no gap in its first KiB may have one later. */
static void test_a_payload_is_known_by_its_first_kib(void **state)
{
    struct buf body = {0};
    struct scan_request request;
    for (size_t gap_at = SCAN_PAYLOAD_HEAD - 1; gap_at <= SCAN_PAYLOAD_HEAD; gap_at++) {
        buf_clear(&body);
        buf_add_cstr(&body, "{\"a\":\"");
        size_t start = body.len;
        while (body.len - start <= SCAN_PAYLOAD_MIN)
            buf_add_char(&body, 'A');
        body.ptr[start + gap_at] = ' ';
        buf_add_cstr(&body, "\"}");
        uint64_t expected = gap_at < SCAN_PAYLOAD_HEAD ? body.len : 8;
        for (size_t cut = 0; cut < 2 * SCAN_PAYLOAD_HEAD; cut++) {
            struct err err = {0};
            assert_int_equal(scan_pieces(buf_str(&body), &cut, 1, &request, &err), 0);
            assert_int_equal(request.prompt_bytes, expected);
        }
    }
    buf_fini(&body);
}

/* {"model":"aaa..."} with a name of `n` bytes. */
static int scan_name_of(size_t n, struct scan_request *scan)
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
    struct scan_request scan;
    assert_int_equal(scan_name_of(SCAN_MODEL_MAX, &scan), 0);
    assert_int_equal(strlen(scan.model), SCAN_MODEL_MAX);
    assert_int_equal(scan_name_of(SCAN_MODEL_MAX + 1, &scan), ERR_TOO_LARGE);
}

static int scan_depth_of(size_t depth)
{
    struct buf body = {0};
    struct scan_request scan;
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

/* Long enough for the vectors: backslashes and quotes at every offset of a block of 16 bytes. */
static void test_strings_end_at_any_offset(void **state)
{
    struct buf body = {0};
    for (size_t before = 0; before < 100; before++)
        for (size_t slashes = 0; slashes < 4; slashes++) {
            struct scan_request request;
            struct err err = {0};
            buf_clear(&body);
            buf_add_cstr(&body, "{\"x\":\"");
            for (size_t i = 0; i < before; i++)
                buf_add_char(&body, 'x');
            for (size_t i = 0; i < slashes; i++)
                buf_add_char(&body, '\\');
            buf_add_cstr(&body, "\",\"model\":\"yes\",\"y\":\"\"}");
            int rc = scan_request(buf_str(&body), &request, &err);
            if (slashes % 2 == 0)
                assert_string_equal(request.model, "yes");
            else
                assert_int_equal(rc, ERR_SYNTAX);
        }
    buf_fini(&body);
}

/* Every cut of a good body is refused and reads nothing behind its end (for the sanitizer). */
static void test_refuses_every_cut(void **state)
{
    static const char body[] =
        "{\"model\":\"a\\u00e4\",\"x\":[{\"y\":\"\\\\\\\"\"}],\"stream\":true,\"n\":-1,"
        "\"stream_options\":{\"include_usage\":true,\"z\":null},\"max_tokens\":1}";
    struct scan_request scan;
    for (size_t n = 0; n < sizeof body - 1; n++) {
        auto_free char *cut = mem_alloc(n);
        memcpy(cut, body, n);
        assert_true(scan_request(str_sub(cut, n), &scan, NULL) < 0);
    }
    assert_int_equal(scan_request(str_of(body), &scan, NULL), 0);
}

static void test_state_is_small(void **state)
{
    assert_true(sizeof(struct scan) <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_model_and_stream),
        cmocka_unit_test(test_finds_stream_options),
        cmocka_unit_test(test_finds_caps_and_choices),
        cmocka_unit_test(test_says_where_the_model_stands),
        cmocka_unit_test(test_leaves_payloads_out_of_the_prompt),
        cmocka_unit_test(test_a_payload_is_known_by_its_first_kib),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_limits_the_name),
        cmocka_unit_test(test_limits_the_depth),
        cmocka_unit_test(test_strings_end_at_any_offset),
        cmocka_unit_test(test_refuses_every_cut),
        cmocka_unit_test(test_state_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
