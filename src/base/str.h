/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of bytes that somebody else owns: pointer and length, no NUL promised.
 *
 * A `struct str` borrows; it is valid as long as the memory behind it. The zero value is the empty
 * string. Pure, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_ARGS(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct str str_of(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}

static inline struct str str_sub(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether `n` bytes at both places are the same but for ASCII case. */
bool str_same_nocase(const char *a, const char *b, size_t n);

/* ASCII case is ignored; for header names and option words. */
static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && str_same_nocase(a.ptr, b.ptr, a.len);
}

/* memcpy() for what is mostly short: no call up to 32 bytes. */
static inline void str_copy_short(char *to, struct str s)
{
    if (s.len > 32) {
        memcpy(to, s.ptr, s.len);
    } else if (s.len >= 16) { /* the two halves may overlap */
        memcpy(to, s.ptr, 16);
        memcpy(to + s.len - 16, s.ptr + s.len - 16, 16);
    } else if (s.len >= 8) {
        memcpy(to, s.ptr, 8);
        memcpy(to + s.len - 8, s.ptr + s.len - 8, 8);
    } else if (s.len >= 4) {
        memcpy(to, s.ptr, 4);
        memcpy(to + s.len - 4, s.ptr + s.len - 4, 4);
    } else {
        for (size_t i = 0; i < s.len; i++)
            to[i] = s.ptr[i];
    }
}

bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);

/* Without leading and trailing spaces, tabs, CR and LF. */
struct str str_trim(struct str s);

/* Drops the first `n` bytes (all when there are fewer). */
static inline struct str str_skip(struct str s, size_t n)
{
    return n < s.len ? str_sub(s.ptr + n, s.len - n) : (struct str){0};
}

/* Offset of the first `c`, or s.len when there is none. */
size_t str_find(struct str s, char c);

/*
 * Takes the piece up to the next `sep` from the front of `*rest`; false when nothing is left.
 *
 *     struct str item;
 *     while (str_split(&rest, ',', &item)) ...
 */
bool str_split(struct str *rest, char sep, struct str *ret_piece);

/* Copy with a NUL behind. Returns owned. */
char *str_dup(struct str s) __attribute__((returns_nonnull));

/* Same bytes, in a time that depends on the lengths only; for secrets. */
bool str_eq_const_time(struct str a, struct str b);
