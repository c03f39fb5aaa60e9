/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's body scanner. In pieces it finds what it finds in the whole. Against a full parser:
 * what both take they read alike, and what the parser takes the scanner refuses for its own reasons
 * only, never as a fault of syntax. A body to which a wanted key is added a second time, or with an
 * escape, has two readings and is refused.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "gateway/scan.h"

#include <assert.h>
#include <jansson.h>

static const char *const cap_keys[] = {"max_tokens", "max_completion_tokens", "max_output_tokens",
                                       "max_tokens_to_sample"};
static const char *const wanted_keys[] = {
    "model", "stream", "stream_options", "n", "best_of", "max_tokens", "max_completion_tokens",
    "max_output_tokens", "max_tokens_to_sample"};

/* ---- in pieces ---- */

static bool same_span(struct scan_span a, struct scan_span b)
{
    return a.at == b.at && a.len == b.len;
}

static void compare_pieces(const struct scan_request *a, const struct scan_request *b)
{
    assert(strcmp(a->model, b->model) == 0);
    assert(same_span(a->model_value, b->model_value));
    assert(same_span(a->options_value, b->options_value));
    assert(same_span(a->usage_value, b->usage_value));
    assert(a->stream == b->stream && a->asks_usage == b->asks_usage);
    assert(a->options_is_empty == b->options_is_empty && a->open_at == b->open_at);
    assert(a->output_cap == b->output_cap && a->choices == b->choices);
    assert(a->prompt_bytes == b->prompt_bytes);
}

static void scan_in_pieces(struct str body, size_t piece, int whole_rc, const struct err *whole_err,
                           const struct scan_request *whole)
{
    struct scan scan;
    struct err err = {0};
    int rc = 0;
    scan_init(&scan);
    while (rc == 0 && body.len) {
        size_t n = piece < body.len ? piece : body.len;
        auto_free char *copy = mem_alloc(n); /* of exactly that size: reading past it is seen */
        memcpy(copy, body.ptr, n);
        rc = scan_feed(&scan, str_sub(copy, n), &err);
        body = str_skip(body, n);
    }
    if (rc == 0)
        rc = scan_end(&scan, &err);
    assert(rc == whole_rc && strcmp(err.text, whole_err->text) == 0);
    if (rc == 0)
        compare_pieces(&scan.request, whole);
}

/* ---- against jansson ---- */

/* The larger of `value` and the member, which the scanner took for an integer or null. */
static int64_t larger(int64_t value, const json_t *object, const char *key, int64_t max)
{
    const json_t *member = json_object_get(object, key);
    assert(!member || json_is_integer(member) || json_is_null(member));
    int64_t other = json_integer_value(member);
    if (!json_is_integer(member) || other < 0)
        return value;
    other = other < max ? other : max;
    return other > value ? other : value;
}

static int64_t choices_of(const json_t *object)
{
    int64_t choices = 1;
    for (int i = 0; i < 2; i++) {
        int64_t n = larger(1, object, i ? "best_of" : "n", INT32_MAX);
        if (n <= SCAN_CHOICES_MAX && n > choices)
            choices = n;
    }
    return choices;
}

static void compare(const struct scan_request *scan, const json_t *object)
{
    const char *model = json_string_value(json_object_get(object, "model"));
    const json_t *options = json_object_get(object, "stream_options");
    int64_t cap = -1;
    assert(strcmp(scan->model, model ? model : "") == 0);
    assert(scan->stream == json_is_true(json_object_get(object, "stream")));
    assert(!options || json_is_object(options) || json_is_null(options));
    assert((scan->options_value.len > 0) == (options != NULL));
    assert(scan->options_is_empty == (json_is_object(options) && json_object_size(options) == 0));
    assert(scan->asks_usage == json_is_true(json_object_get(options, "include_usage")));
    for (size_t i = 0; i < ARRAY_LEN(cap_keys); i++)
        cap = larger(cap, object, cap_keys[i], INT32_MAX);
    assert(scan->output_cap == cap);
    assert(scan->choices == choices_of(object));
}

/* The value of the span is what jansson reads under that name. */
static void compare_value(struct str body, struct scan_span span, const json_t *value)
{
    if (span.len == 0)
        return;
    assert(span.at + span.len <= body.len);
    json_t *read = json_loadb(body.ptr + span.at, (size_t)span.len, JSON_DECODE_ANY, NULL);
    assert(read && json_equal(read, value));
    json_decref(read);
}

/* Puts a member in front of all others. */
static int scan_with(struct str body, const struct scan_request *scan, const char *key,
                     const char *value)
{
    struct buf changed = {0};
    struct scan_request ignored;
    struct str rest = str_skip(body, (size_t)scan->open_at);
    buf_add(&changed, body.ptr, (size_t)scan->open_at);
    buf_printf(&changed, "\"%s\":%s,", key, value);
    buf_add_str(&changed, rest);
    int rc = scan_request(buf_str(&changed), &ignored, NULL);
    buf_fini(&changed);
    return rc;
}

static void check_second_readings(struct str body, const struct scan_request *scan,
                                  const json_t *object)
{
    if (json_object_size(object) == 0) /* {"model":"b",} is a fault of syntax */
        return;
    for (size_t i = 0; i < ARRAY_LEN(wanted_keys); i++) {
        const char *key = wanted_keys[i];
        char escaped[64];
        snprintf(escaped, sizeof escaped, "\\u%04x%s", key[0], key + 1);
        assert(scan_with(body, scan, escaped, "null") == ERR_INVALID);
        if (json_object_get(object, key))
            assert(scan_with(body, scan, key, i ? "null" : "\"a\"") == ERR_INVALID);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan_request scan = {0};
    struct err err = {0};
    auto_free char *body = mem_alloc(size);
    memcpy(body, data, size);
    struct str text = str_sub(body, size);
    int rc = scan_request(text, &scan, &err);
    assert(rc == 0 || (rc < 0 && err.code == rc && err.text[0] != '\0'));
    scan_in_pieces(text, 1, rc, &err, &scan);
    scan_in_pieces(text, size ? 2 + data[size - 1] % 30 : 1, rc, &err, &scan);
    if (memchr(body, 0, size)) /* jansson skips a NUL between tokens, which is no JSON */
        return 0;
    json_t *object = json_loadb(body, size, 0, NULL);
    if (json_is_object(object)) {
        assert(rc != ERR_SYNTAX);
        if (rc == 0) {
            compare(&scan, object);
            compare_value(text, scan.model_value, json_object_get(object, "model"));
            compare_value(text, scan.options_value, json_object_get(object, "stream_options"));
            check_second_readings(text, &scan, object);
        }
    }
    json_decref(object);
    return 0;
}
