/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sse.h"

#include <errno.h>

static void take_line(struct sse_reader *reader, void (*on_event)(struct str data, void *ctx),
                      void *ctx)
{
    struct str line = buf_str(&reader->line);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0) {
        if (reader->data.len)
            on_event(buf_str(&reader->data), ctx);
        buf_clear(&reader->data);
    } else if (str_has_prefix(line, STR("data:"))) {
        struct str value = str_skip(line, 5);
        if (reader->data.len)
            buf_add_char(&reader->data, '\n');
        buf_add_str(&reader->data, str_has_prefix(value, STR(" ")) ? str_skip(value, 1) : value);
    }
    buf_clear(&reader->line);
}

int sse_feed(struct sse_reader *reader, struct str bytes,
             void (*on_event)(struct str data, void *ctx), void *ctx)
{
    while (bytes.len) {
        size_t end = str_find(bytes, '\n');
        buf_add(&reader->line, bytes.ptr, end);
        if (reader->line.len + reader->data.len > SSE_EVENT_MAX)
            return -EMSGSIZE;
        if (end < bytes.len)
            take_line(reader, on_event, ctx);
        bytes = str_skip(bytes, end + 1);
    }
    return 0;
}

void sse_fini(struct sse_reader *reader)
{
    buf_fini(&reader->line);
    buf_fini(&reader->data);
}
