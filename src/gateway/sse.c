/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sse.h"

#include "gateway/lanes_priv.h"

#include <assert.h>

/*
 * Where in a line the stream is. A lone CR ends a line too, so behind a CR the next byte must be
 * seen before a blank line's end is known; unless the line before ended in a lone CR as well: then
 * nobody has to wait, and a LF that follows after all goes with the next event.
 */
enum state {
    AT_START,  /* of a line */
    IN_LINE,
    AFTER_CR,  /* that ended a line which wasn't blank */
    BLANK_CR,  /* the same, of a blank line */
    BLANK_END, /* a blank line ended in a lone CR: a LF still belongs to it */
};

/* ---- lines ---- */

/* The first CR or LF at `at`, or `end`. */
static const char *line_end(const char *at, const char *end)
{
    for (; end - at >= LANES; at += LANES) {
        lanes v = lanes_load(at);
        unsigned bits = lanes_bits((lanes)((v == '\n') | (v == '\r')));
        if (bits)
            return at + __builtin_ctz(bits);
    }
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    return at;
}

/* The next line without its end. False when nothing is left. */
static bool take_line(struct str *text, struct str *ret)
{
    if (text->len == 0)
        return false;
    const char *end = line_end(text->ptr, text->ptr + text->len);
    size_t n = (size_t)(end - text->ptr);
    *ret = str_sub(text->ptr, n);
    *text = str_skip(*text, n);
    *text = str_skip(*text, str_has_prefix(*text, STR("\r\n")) ? 2 : 1);
    return true;
}

/*
 * Goes on in the stream to behind the blank line that ends the present event; NULL when it isn't
 * there before `end`.
 */
static const char *event_end(uint8_t *state, const char *at, const char *end)
{
    while (at < end) {
        char byte = *at;
        switch ((enum state)*state) {
        case IN_LINE:
            at = line_end(at, end);
            if (at < end)
                *state = *at++ == '\n' ? AT_START : AFTER_CR;
            break;
        case AT_START:
            *state = byte == '\r' ? BLANK_CR : byte == '\n' ? AT_START : IN_LINE;
            at += byte == '\n' || byte == '\r';
            if (byte == '\n')
                return at;
            break;
        case AFTER_CR:
            *state = byte == '\n' ? AT_START : byte == '\r' ? BLANK_END : IN_LINE;
            at += byte == '\n' || byte == '\r';
            if (byte == '\r')
                return at;
            break;
        case BLANK_CR:
            *state = AT_START;
            return at + (byte == '\n');
        case BLANK_END:
            *state = AT_START;
            at += byte == '\n';
            break;
        }
    }
    return NULL;
}

/* ---- fields ---- */

/* The value of a line "name: value" or "name"; false when it is another field. */
static bool field_value(struct str line, struct str name, struct str *ret)
{
    if (!str_has_prefix(line, name) || (line.len > name.len && line.ptr[name.len] != ':'))
        return false;
    size_t at = name.len + (line.len > name.len);
    at += at < line.len && line.ptr[at] == ' ';
    *ret = str_sub(line.ptr + at, line.len - at); /* never NULL: the field is there */
    return true;
}

static void add_data(struct sse *sse, struct str value, struct sse_event *event)
{
    if (!event->data.ptr) {
        event->data = value;
        return;
    }
    if (event->data.ptr != sse->joined.ptr) {
        buf_clear(&sse->joined);
        buf_add_str(&sse->joined, event->data);
    }
    buf_add_char(&sse->joined, '\n');
    buf_add_str(&sse->joined, value);
    event->data = buf_str(&sse->joined);
}

static void give(struct sse *sse, struct str raw, bool is_partial, struct sse_event *ret)
{
    struct str text = raw;
    struct str line;
    struct str value;
    *ret = (struct sse_event){.raw = raw, .is_partial = is_partial};
    if (!sse->has_begun && str_has_prefix(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    sse->has_begun = true;
    if (is_partial)
        return;
    while (take_line(&text, &line)) {
        if (field_value(line, STR("data"), &value))
            add_data(sse, value, ret);
        else if (field_value(line, STR("event"), &value))
            ret->name = value;
    }
}

/* ---- pieces ---- */

static void release(struct buf *buf)
{
    if (buf->cap > SSE_KEEP_MAX)
        buf_fini(buf);
    else
        buf_clear(buf);
}

static void release_given(struct sse *sse)
{
    if (sse->is_given)
        release(&sse->held);
    release(&sse->joined);
    sse->is_given = false;
}

static bool give_held(struct sse *sse, bool is_partial, struct sse_event *ret)
{
    sse->is_given = true;
    give(sse, buf_str(&sse->held), is_partial, ret);
    return true;
}

void sse_feed(struct sse *sse, struct str piece)
{
    assert(sse->piece.len == 0);
    sse->piece = piece;
}

bool sse_next(struct sse *sse, struct sse_event *ret)
{
    release_given(sse);
    if (sse->piece.len == 0)
        return false;
    uint8_t state = sse->state;
    const char *start = sse->piece.ptr;
    const char *end = event_end(&state, start, start + sse->piece.len);
    size_t n = end ? (size_t)(end - start) : sse->piece.len;
    sse->is_oversize |= sse->held.len + n > SSE_EVENT_MAX;
    if (sse->is_oversize && sse->held.len)
        return give_held(sse, true, ret); /* the piece's part comes next, uncopied */
    sse->state = state;
    sse->piece = str_skip(sse->piece, n);
    if (sse->is_oversize) {
        sse->is_oversize = !end;
        if (n == 0)
            return sse_next(sse, ret);
        give(sse, str_sub(start, n), true, ret);
        return true;
    }
    if (end && sse->held.len == 0) {
        give(sse, str_sub(start, n), false, ret);
        return true;
    }
    buf_add(&sse->held, start, n);
    return end && give_held(sse, false, ret);
}

struct str sse_rest(const struct sse *sse)
{
    return sse->is_given ? str_sub(NULL, 0) : buf_str(&sse->held);
}

bool sse_end(struct sse *sse, struct sse_event *ret)
{
    if (sse_rest(sse).len == 0)
        return false;
    return give_held(sse, false, ret);
}

void sse_fini(struct sse *sse)
{
    buf_fini(&sse->held);
    buf_fini(&sse->joined);
    *sse = (struct sse){0};
}
