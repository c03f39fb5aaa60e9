/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>

enum { BUF_MIN = 128 };

void buf_fini(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){0};
}

char *buf_reserve(struct buf *buf, size_t n)
{
    if (buf->ptr && buf->cap - buf->len >= n)
        return buf->ptr + buf->len;
    size_t want = buf->len + n;
    size_t cap = buf->cap * 2 > want ? buf->cap * 2 : want;
    if (cap < BUF_MIN)
        cap = BUF_MIN;
    buf->ptr = mem_resize(buf->ptr, cap + 1);
    buf->cap = cap;
    buf->ptr[buf->len] = '\0';
    return buf->ptr + buf->len;
}

void buf_grew(struct buf *buf, size_t n)
{
    assert(n <= buf->cap - buf->len);
    buf->len += n;
    if (buf->ptr)
        buf->ptr[buf->len] = '\0';
}

void buf_add_uint(struct buf *buf, uint64_t value)
{
    char digits[20]; /* of 2^64 - 1 */
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    size_t len = (size_t)(digits + sizeof digits - at);
    str_copy_short(buf_reserve(buf, len), str_sub(at, len));
    buf_grew(buf, len);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    char *at = buf_reserve(buf, BUF_MIN);
    size_t room = buf->cap - buf->len + 1;
    int n = vsnprintf(at, room, fmt, args);
    va_end(args);
    assert(n >= 0);
    if ((size_t)n >= room)
        vsnprintf(buf_reserve(buf, (size_t)n), (size_t)n + 1, fmt, again);
    va_end(again);
    buf_grew(buf, (size_t)n);
}

void buf_drop(struct buf *buf, size_t n)
{
    assert(n <= buf->len);
    if (n == 0)
        return;
    memmove(buf->ptr, buf->ptr + n, buf->len - n);
    buf->len -= n;
    buf->ptr[buf->len] = '\0';
}

void buf_cut(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len = len;
    if (buf->ptr)
        buf->ptr[len] = '\0';
}

void buf_clear(struct buf *buf)
{
    buf_cut(buf, 0);
}

char *buf_take(struct buf *buf)
{
    char *text = buf->ptr ? buf->ptr : mem_strdup("");
    *buf = (struct buf){0};
    return text;
}
