/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The splitter of server-sent events: the bytes of its events, one after the other, are those of
 * the stream; in pieces the events are those of the whole.
 */
#include "fuzz.h"
#include "gateway/sse.h"

#include <assert.h>

/* What is compared: the bytes, and the events with their fields. */
struct seen {
    struct buf bytes, events;
};

static void see(struct seen *seen, const struct sse_event *event)
{
    assert(!event->is_partial || (!event->data.ptr && event->name.len == 0));
    buf_add_str(&seen->bytes, event->raw);
    buf_printf(&seen->events, "%zu %zu %zu %d %d\n", event->raw.len, event->name.len,
               event->data.len, event->data.ptr != NULL, event->is_partial);
    buf_add_str(&seen->events, event->name);
    buf_add_str(&seen->events, event->data);
}

static void split(struct str stream, size_t piece, struct seen *seen)
{
    struct sse sse = {0};
    struct sse_event event;
    while (stream.len) {
        size_t n = piece < stream.len ? piece : stream.len;
        auto_free char *copy = mem_alloc(n); /* of exactly that size: reading past it is seen */
        memcpy(copy, stream.ptr, n);
        sse_feed(&sse, str_sub(copy, n));
        while (sse_next(&sse, &event))
            see(seen, &event);
        stream = str_skip(stream, n);
    }
    if (sse_end(&sse, &event))
        see(seen, &event);
    sse_fini(&sse);
}

static void seen_fini(struct seen *seen)
{
    buf_fini(&seen->bytes);
    buf_fini(&seen->events);
}

static void compare(struct str stream, size_t piece, const struct seen *whole)
{
    struct seen pieces = {0};
    split(stream, piece, &pieces);
    assert(str_eq(buf_str(&pieces.bytes), buf_str(&whole->bytes)));
    assert(str_eq(buf_str(&pieces.events), buf_str(&whole->events)));
    seen_fini(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str stream = str_sub((const char *)data, size);
    struct seen whole = {0};
    split(stream, size, &whole);
    assert(str_eq(buf_str(&whole.bytes), stream));
    compare(stream, 1, &whole);
    compare(stream, size ? 2 + data[0] % 40 : 2, &whole);
    seen_fini(&whole);
    return 0;
}
