/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing byte buffer, for building text and for queues of bytes.
 *
 * Invariants: len <= cap; when cap > 0, ptr[len] is a NUL, so `ptr` is a C string. The zero value
 * is an empty buffer; buf_fini() leaves a zero value. Owned by one thread at a time.
 *
 *     struct buf out = {0};
 *     buf_printf(&out, "%d items", n);
 *     use(buf_str(&out));
 *     buf_fini(&out);
 */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <stdint.h>

struct buf {
    char *ptr;  /* owned; NULL while nothing was added */
    size_t len; /* bytes in use */
    size_t cap; /* bytes that fit, the NUL not counted */
};

void buf_fini(struct buf *buf);

/* Room for `n` more bytes behind len; the caller may write there and add to len with buf_grew(). */
char *buf_reserve(struct buf *buf, size_t n);
void buf_grew(struct buf *buf, size_t n);

/* Here, so that short pieces of known length are copied without a call. */
static inline void buf_add(struct buf *buf, const void *data, size_t n)
{
    if (n == 0)
        return;
    if (buf->cap - buf->len < n)
        buf_reserve(buf, n);
    memcpy(buf->ptr + buf->len, data, n);
    buf->len += n;
    buf->ptr[buf->len] = '\0';
}

static inline void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.ptr, s.len);
}

static inline void buf_add_cstr(struct buf *buf, const char *s)
{
    buf_add(buf, s, strlen(s));
}

static inline void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_uint(struct buf *buf, uint64_t value); /* in decimal digits */
void buf_printf(struct buf *buf, const char *fmt, ...) printf_like(2, 3);

/* Removes `n` bytes from the front (moves the rest). */
void buf_drop(struct buf *buf, size_t n);

/* Keeps the first `len` bytes only. */
void buf_cut(struct buf *buf, size_t len);

/* Empties but keeps the memory. */
void buf_clear(struct buf *buf);

/* View of the content; valid until the next change. */
static inline struct str buf_str(const struct buf *buf)
{
    return str_sub(buf->ptr, buf->len);
}

/* The content as an owned C string ("" when empty); leaves a zero value. */
char *buf_take(struct buf *buf) __attribute__((returns_nonnull));
