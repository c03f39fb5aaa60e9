/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <assert.h>
#include <math.h>

int json_read(struct str text, json_t **ret, struct err *err)
{
    if (text.len > JSON_TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, "JSON of %zu bytes is larger than %d", text.len,
                       JSON_TEXT_MAX);
    json_error_t fault;
    json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (!root)
        return err_set(err, ERR_SYNTAX, "line %d column %d: %s", fault.line, fault.column,
                       fault.text);
    *ret = root;
    return 0;
}

void json_release(json_t **root)
{
    json_decref(*root);
}

struct json_writer json_writer_into(struct buf *out)
{
    return (struct json_writer){.out = out};
}

/* The comma that is due before a key or an array item. */
static void separate(struct json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth && w->used[w->depth - 1])
        buf_add_char(w->out, ',');
    if (w->depth)
        w->used[w->depth - 1] = 1;
}

static void open_level(struct json_writer *w, char bracket)
{
    separate(w);
    assert(w->depth < JSON_DEPTH_MAX);
    w->used[w->depth++] = 0;
    buf_add_char(w->out, bracket);
}

static void close_level(struct json_writer *w, char bracket)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    buf_add_char(w->out, bracket);
}

void json_begin_object(struct json_writer *w)
{
    open_level(w, '{');
}

void json_end_object(struct json_writer *w)
{
    close_level(w, '}');
}

void json_begin_array(struct json_writer *w)
{
    open_level(w, '[');
}

void json_end_array(struct json_writer *w)
{
    close_level(w, ']');
}

static void add_escaped(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        buf_add_cstr(out, "\\\"");
        break;
    case '\\':
        buf_add_cstr(out, "\\\\");
        break;
    case '\n':
        buf_add_cstr(out, "\\n");
        break;
    case '\r':
        buf_add_cstr(out, "\\r");
        break;
    case '\t':
        buf_add_cstr(out, "\\t");
        break;
    default:
        buf_printf(out, "\\u%04x", c);
    }
}

static void add_quoted(struct buf *out, struct str s)
{
    buf_add_char(out, '"');
    size_t plain = 0; /* start of the run that can be copied as it is */
    for (size_t i = 0; i < s.len;) {
        unsigned char c = (unsigned char)s.ptr[i];
        size_t n = c < 0x80 ? 1 : utf8_sequence(str_skip(s, i));
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += n;
            continue;
        }
        buf_add(out, s.ptr + plain, i - plain);
        if (n == 0)
            buf_add_cstr(out, "\xef\xbf\xbd");
        else
            add_escaped(out, c);
        plain = ++i;
    }
    buf_add(out, s.ptr + plain, s.len - plain);
    buf_add_char(out, '"');
}

void json_quote(struct str text, struct buf *out)
{
    add_quoted(out, text);
}

void json_add_key(struct json_writer *w, const char *key)
{
    assert(!w->after_key);
    separate(w);
    add_quoted(w->out, str_of(key));
    buf_add_char(w->out, ':');
    w->after_key = true;
}

void json_add_string(struct json_writer *w, struct str value)
{
    separate(w);
    add_quoted(w->out, value);
}

void json_add_cstring(struct json_writer *w, const char *value)
{
    if (value)
        json_add_string(w, str_of(value));
    else
        json_add_null(w);
}

void json_add_int(struct json_writer *w, int64_t value)
{
    separate(w);
    if (value < 0)
        buf_add_char(w->out, '-');
    buf_add_uint(w->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_add_double(struct json_writer *w, double value)
{
    if (!isfinite(value)) {
        json_add_null(w);
        return;
    }
    separate(w);
    buf_printf(w->out, "%.10g", value);
}

void json_add_bool(struct json_writer *w, bool value)
{
    json_add_raw(w, value ? STR("true") : STR("false"));
}

void json_add_null(struct json_writer *w)
{
    json_add_raw(w, STR("null"));
}

void json_add_raw(struct json_writer *w, struct str value)
{
    separate(w);
    buf_add_str(w->out, value);
}

static int dump_into_buf(const char *data, size_t n, void *ctx)
{
    buf_add(ctx, data, n);
    return 0;
}

void json_add_tree(struct json_writer *w, const json_t *value)
{
    if (!value) {
        json_add_null(w);
        return;
    }
    separate(w);
    (void)json_dump_callback(value, dump_into_buf, w->out,
                             JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
}

void json_add_time(struct json_writer *w, int64_t wall_ms)
{
    if (wall_ms == 0) {
        json_add_null(w);
        return;
    }
    char text[CLOCK_TEXT_MAX];
    clock_format(wall_ms, text);
    json_add_cstring(w, text);
}

void json_put_string(struct json_writer *w, const char *key, const char *value)
{
    json_add_key(w, key);
    json_add_cstring(w, value);
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
    json_add_key(w, key);
    json_add_int(w, value);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    json_add_key(w, key);
    json_add_bool(w, value);
}

const char *json_member_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool json_take_integer(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = (int64_t)json_integer_value(value);
        return true;
    }
    double real = json_is_real(value) ? json_real_value(value) : NAN;
    if (!(real >= -0x1p63 && real < 0x1p63) || real != (double)(int64_t)real)
        return false;
    *ret = (int64_t)real;
    return true;
}

int64_t json_member_int(const json_t *object, const char *key, int64_t fallback)
{
    int64_t number;
    return json_take_integer(json_object_get(object, key), &number) ? number : fallback;
}
