/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens and events of responses. The scanner finds in pieces what it finds in the whole. Against a
 * full parser: an object that it takes is read, tokens and what is said of an event are what it
 * reads too, and an event to which timing was added has these members more and no others.
 * Duplicate keys and escapes are left out of that: engines write none.
 */
#include "fuzz.h"
#include "gateway/usage.h"

#include <assert.h>
#include <jansson.h>

static const struct usage_timing timing = {12.5, 150, 0.001};
static const char *const timing_keys[] = {"tokens_per_second", "time_to_first_token_ms",
                                          "time_per_output_token_ms"};

static void scan_in_pieces(struct str body, size_t piece, bool told, const struct usage *whole)
{
    struct usage_scan scan;
    struct usage usage = {0};
    usage_scan_init(&scan);
    while (body.len) {
        size_t n = piece < body.len ? piece : body.len;
        auto_free char *copy = mem_alloc(n); /* of exactly that size: reading past it is seen */
        memcpy(copy, body.ptr, n);
        usage_scan_feed(&scan, str_sub(copy, n));
        body = str_skip(body, n);
    }
    assert(usage_scan_end(&scan, &usage) == told);
    assert(usage.has_prompt == whole->has_prompt && usage.has_completion == whole->has_completion);
    assert(usage.prompt == whole->prompt && usage.cached == whole->cached);
    assert(usage.completion == whole->completion);
}

/* ---- against jansson ---- */

static bool is_count(const json_t *value)
{
    json_int_t n = json_integer_value(value);
    return json_is_integer(value) && n >= 0 && n <= USAGE_TOKENS_MAX;
}

static json_t *usage_of(const json_t *object)
{
    static const char *const envelopes[] = {"message", "response"};
    json_t *usage = json_object_get(object, "usage");
    for (size_t i = 0; i < ARRAY_LEN(envelopes) && !json_is_object(usage); i++)
        usage = json_object_get(json_object_get(object, envelopes[i]), "usage");
    return json_is_object(usage) ? usage : NULL;
}

static void compare_usage(const struct usage *usage, const json_t *object)
{
    const json_t *told = json_object_get(object, "usage");
    const json_t *prompt = json_object_get(told, "prompt_tokens");
    const json_t *completion = json_object_get(told, "completion_tokens");
    if (json_object_get(object, "message") || json_object_get(object, "response"))
        return; /* either may tell it */
    if (is_count(prompt))
        assert(usage->has_prompt && usage->prompt == json_integer_value(prompt));
    if (is_count(completion))
        assert(usage->has_completion && usage->completion == json_integer_value(completion));
}

static void compare_chunk(const struct chunk_view *view, const json_t *object)
{
    const json_t *choices = json_object_get(object, "choices");
    const json_t *error = json_object_get(object, "error");
    const char *type = json_string_value(json_object_get(object, "type"));
    assert(!view->is_done);
    assert(view->has_choices == json_is_array(choices));
    assert(view->choices_is_empty == (json_is_array(choices) && json_array_size(choices) == 0));
    assert(!error || json_is_null(error) || view->has_error);
    assert(str_eq(view->type, str_of(type)));
    assert((view->usage.len > 0) == (usage_of(object) != NULL));
    if (view->usage.len) {
        json_t *read = json_loadb(view->usage.ptr, view->usage.len, 0, NULL);
        assert(read);
        json_decref(read);
    }
}

/* Takes the members that were added out again. */
static void compare_timed(struct str text, const json_t *object)
{
    json_t *timed = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert(timed);
    for (size_t i = 0; i < ARRAY_LEN(timing_keys); i++) {
        json_t *usage = usage_of(timed);
        assert(json_object_get(usage, timing_keys[i]));
        if (!json_object_get(usage_of(object), timing_keys[i]))
            json_object_del(usage, timing_keys[i]);
    }
    assert(json_equal(timed, object));
    json_decref(timed);
}

static void write_timed(struct str data, const struct chunk_view *view, const json_t *object)
{
    struct buf out = {0};
    usage_write_timing(data, view, &timing, &out);
    bool is_clear = !json_object_get(object, "message") || !json_object_get(object, "response");
    if (object && view->usage.len && is_clear)
        compare_timed(buf_str(&out), object);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct usage usage = {0};
    struct chunk_view view;
    auto_free char *copy = mem_alloc(size);
    memcpy(copy, data, size);
    struct str text = str_sub(copy, size);
    bool told = usage_read(text, &usage);
    scan_in_pieces(text, 1, told, &usage);
    scan_in_pieces(text, size ? 2 + data[size / 2] % 30 : 1, told, &usage);
    bool is_read = chunk_read(text, &view);
    json_t *object = NULL;
    if (!memchr(copy, 0, size) && !memchr(copy, '\\', size)) /* jansson skips a NUL */
        object = json_loadb(copy, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object)) {
        assert(is_read);
        compare_chunk(&view, object);
        compare_usage(&usage, object);
    }
    if (is_read)
        write_timed(text, &view, json_is_object(object) ? object : NULL);
    json_decref(object);
    return 0;
}
