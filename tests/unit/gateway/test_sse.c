/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { CUTS_MAX = 2 };

/* ---- events as text: one line each, "[raw] name=... data=..." with visible line ends ---- */

static void add_visible(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\n')
            buf_add_cstr(out, "\\n");
        else if (s.ptr[i] == '\r')
            buf_add_cstr(out, "\\r");
        else
            buf_add_char(out, s.ptr[i]);
    }
}

static void write_event(struct buf *out, const struct sse_event *event)
{
    buf_add_char(out, '[');
    add_visible(out, event->raw);
    buf_add_char(out, ']');
    if (event->name.len) {
        buf_add_cstr(out, " name=");
        add_visible(out, event->name);
    }
    if (event->data.ptr) {
        buf_add_cstr(out, " data=");
        add_visible(out, event->data);
    }
    if (event->is_partial)
        buf_add_cstr(out, " partial");
    buf_add_char(out, '\n');
}

static void feed_copy(struct sse *sse, const char *ptr, size_t len, struct buf *out)
{
    auto_free char *copy = mem_alloc(len); /* of exactly that size: reading past it is seen */
    struct sse_event event;
    memcpy(copy, ptr, len);
    sse_feed(sse, str_sub(copy, len));
    while (sse_next(sse, &event))
        write_event(out, &event);
    assert_false(sse_next(sse, &event));
}

static void split(struct str stream, const size_t *cuts, size_t count, struct buf *out)
{
    struct sse sse = {0};
    struct sse_event event;
    size_t at = 0;
    buf_clear(out);
    for (size_t i = 0; i <= count; i++) {
        size_t end = i < count ? cuts[i] : stream.len;
        feed_copy(&sse, stream.ptr + at, end - at, out);
        at = end;
    }
    struct str rest = sse_rest(&sse);
    if (rest.len) {
        buf_add_cstr(out, "rest ");
        assert_true(sse_end(&sse, &event));
        write_event(out, &event);
    }
    assert_false(sse_end(&sse, &event));
    assert_int_equal(sse_rest(&sse).len, 0);
    sse_fini(&sse);
}

static void split_bytewise(struct str stream, struct buf *out)
{
    auto_free size_t *cuts = mem_alloc_array(stream.len + 1, sizeof *cuts);
    for (size_t i = 0; i < stream.len; i++)
        cuts[i] = i;
    split(stream, cuts, stream.len, out);
}

/* The whole gives these events, and so do all ways to cut it in three, and byte by byte. */
static void check_all_cuts(struct str stream, const char *expected)
{
    struct buf out = {0};
    split(stream, NULL, 0, &out);
    assert_string_equal(out.ptr ? out.ptr : "", expected);
    split_bytewise(stream, &out);
    assert_string_equal(out.ptr ? out.ptr : "", expected);
    for (size_t a = 0; a <= stream.len; a++)
        for (size_t b = a; b <= stream.len; b++) {
            split(stream, (size_t[CUTS_MAX]){a, b}, CUTS_MAX, &out);
            if (strcmp(out.ptr ? out.ptr : "", expected) != 0)
                fail_msg("cut at %zu and %zu: %s instead of %s", a, b, out.ptr, expected);
        }
    buf_fini(&out);
}

static void test_splits(void **state)
{
    static const struct {
        const char *stream, *events;
    } rows[] = {
        {"", ""},
        {"data: a\n\n", "[data: a\\n\\n] data=a\n"},
        {"data:a\n\ndata:  b\n\n", "[data:a\\n\\n] data=a\n[data:  b\\n\\n] data= b\n"},
        {"data: a\r\n\r\ndata: b\r\n\r\n",
         "[data: a\\r\\n\\r\\n] data=a\n[data: b\\r\\n\\r\\n] data=b\n"},
        {"data: a\r\rdata: b\r\r", "[data: a\\r\\r] data=a\n[data: b\\r\\r] data=b\n"},
        {"data: a\r\n\ndata: b\n\r\nx", "[data: a\\r\\n\\n] data=a\n[data: b\\n\\r\\n] data=b\n"
                                        "rest [x]\n"},
        {"data: a\r\r\ndata: b\r\r\n", "[data: a\\r\\r] data=a\n[\\ndata: b\\r\\r] data=b\n"
                                       "rest [\\n]\n"},
        {"data: a\n\rdata: b\n\n", "[data: a\\n\\r] data=a\n[data: b\\n\\n] data=b\n"},
        {"event: ping\ndata: {}\n\n", "[event: ping\\ndata: {}\\n\\n] name=ping data={}\n"},
        {"event: a\nevent:b\n\n", "[event: a\\nevent:b\\n\\n] name=b\n"},
        {"data: a\ndata: b\ndata\ndata: c\n\n",
         "[data: a\\ndata: b\\ndata\\ndata: c\\n\\n] data=a\\nb\\n\\nc\n"},
        {"data: a\r\ndata: b\r\n\r\n", "[data: a\\r\\ndata: b\\r\\n\\r\\n] data=a\\nb\n"},
        {"data\n\ndata:\n\n", "[data\\n\\n] data=\n[data:\\n\\n] data=\n"},
        {"datax: a\nid: 1\nretry: 5\n\n", "[datax: a\\nid: 1\\nretry: 5\\n\\n]\n"},
        {": ping\n\ndata: a\n\n", "[: ping\\n\\n]\n[data: a\\n\\n] data=a\n"},
        {": ping\ndata: a\n\n", "[: ping\\ndata: a\\n\\n] data=a\n"},
        {"\n\ndata: a\n\n\n", "[\\n]\n[\\n]\n[data: a\\n\\n] data=a\n[\\n]\n"},
        {"\r\n\r\r\n", "[\\r\\n]\n[\\r]\n[\\r\\n]\n"},
        {"\xef\xbb\xbf" "data: a\n\n", "[\xef\xbb\xbf" "data: a\\n\\n] data=a\n"},
        {"data: a\n\n\xef\xbb\xbf" "data: b\n\n",
         "[data: a\\n\\n] data=a\n[\xef\xbb\xbf" "data: b\\n\\n]\n"},
        {"data: [DONE]\n", "rest [data: [DONE]\\n] data=[DONE]\n"},
        {"data: a\n\ndata: b", "[data: a\\n\\n] data=a\nrest [data: b] data=b\n"},
        {"data: a\r\n\r", "rest [data: a\\r\\n\\r] data=a\n"},
        {"data: 0123456789abcdef0123456789abcdef\n\n",
         "[data: 0123456789abcdef0123456789abcdef\\n\\n] data=0123456789abcdef0123456789abcdef\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_all_cuts(str_of(rows[i].stream), rows[i].events);
}

/* An event that lies whole in the piece is given out where it lies. */
static void test_borrows_whole_events(void **state)
{
    struct str piece = STR("data: a\n\nevent: b\ndata: c\n\ndata: d");
    struct sse sse = {0};
    struct sse_event event;
    sse_feed(&sse, piece);
    assert_true(sse_next(&sse, &event));
    assert_ptr_equal(event.raw.ptr, piece.ptr);
    assert_ptr_equal(event.data.ptr, piece.ptr + 6);
    assert_true(sse_next(&sse, &event));
    assert_ptr_equal(event.raw.ptr, piece.ptr + 9);
    assert_false(sse_next(&sse, &event));
    assert_int_equal(sse_rest(&sse).len, 7);
    sse_fini(&sse);
}

/* "data: xxx..." of `len` bytes with its end, then a small event. */
static void make_long(struct buf *out, size_t len)
{
    buf_clear(out);
    buf_add_cstr(out, "data: ");
    while (out->len < len - 2)
        buf_add_char(out, 'x');
    buf_add_cstr(out, "\n\ndata: b\n\n");
}

static void check_long(size_t len, size_t piece, bool is_partial)
{
    struct buf stream = {0};
    struct buf again = {0};
    struct sse sse = {0};
    struct sse_event event;
    unsigned partial = 0;
    unsigned whole = 0;
    make_long(&stream, len);
    for (size_t at = 0; at < stream.len; at += piece) {
        size_t n = piece < stream.len - at ? piece : stream.len - at;
        sse_feed(&sse, str_sub(stream.ptr + at, n));
        while (sse_next(&sse, &event)) {
            assert_true(event.raw.len > 0);
            assert_true(!event.is_partial || (!event.data.ptr && !event.name.len));
            assert_true(sse.held.cap <= 3 * SSE_EVENT_MAX);
            partial += event.is_partial;
            whole += !event.is_partial;
            buf_add_str(&again, event.raw);
        }
    }
    assert_int_equal(partial > 0, is_partial);
    assert_int_equal(whole, is_partial ? 1 : 2);
    assert_true(str_eq(buf_str(&again), buf_str(&stream)));
    assert_true(sse.held.cap <= SSE_KEEP_MAX);
    buf_fini(&stream);
    buf_fini(&again);
    sse_fini(&sse);
}

static void test_gives_long_events_in_pieces(void **state)
{
    static const size_t pieces[] = {1021, 65536, SSE_EVENT_MAX, 4 * SSE_EVENT_MAX};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        check_long(SSE_EVENT_MAX, pieces[i], false);
        check_long(SSE_EVENT_MAX + 1, pieces[i], true);
        check_long(3 * SSE_EVENT_MAX, pieces[i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_borrows_whole_events),
        cmocka_unit_test(test_gives_long_events_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
