/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passing over JSON text 16 bytes at a time: to the end of a string, to the next bracket or quote.
 * The scanners of requests and responses are made of these. Pure.
 */
#pragma once

#include "base/str.h"
#include "gateway/lanes_priv.h"

enum { ROUNDS_BEFORE_MEMCHR = 4 }; /* of LANES bytes; then a string is long enough for a call */

/* Whether an odd number of backslashes stands right before `p`, not looking before `from`. */
static inline bool json_is_escaped(const char *p, const char *from)
{
    const char *q = p;
    while (q > from && q[-1] == '\\')
        q--;
    return (p - q) % 2 != 0;
}

/*
 * The quote that ends the string whose inside goes on at `at`, or NULL when it isn't there before
 * `end`. `*is_escaped` says whether the byte at `at` belongs to an escape that began before; when
 * NULL is returned it says the same of the byte at `end`.
 */
static inline const char *json_string_end(const char *at, const char *end, bool *is_escaped)
{
    if (at == end)
        return NULL;
    at += *is_escaped;
    *is_escaped = false;
    const char *from = at;
    for (unsigned rounds = 0; end - at >= LANES; at += LANES) {
        unsigned bits = lanes_bits((lanes)(lanes_load(at) == '"'));
        for (; bits; bits &= bits - 1) {
            const char *quote = at + __builtin_ctz(bits);
            if (!json_is_escaped(quote, from))
                return quote;
            rounds = 0;
        }
        if (++rounds == ROUNDS_BEFORE_MEMCHR) {
            const char *quote = memchr(at + LANES, '"', (size_t)(end - at - LANES));
            if (!quote) {
                at = end;
                break;
            }
            at = quote - LANES; /* the next round begins with the quote */
            rounds = 0;
        }
    }
    for (; (at = memchr(at, '"', (size_t)(end - at))); at++)
        if (!json_is_escaped(at, from))
            return at;
    *is_escaped = json_is_escaped(end, from);
    return NULL;
}

/* Kinds of bytes outside of strings. */
enum {
    JSON_BLANK = 1,
    JSON_WORD = 2,      /* what numbers, true, false and null are made of */
    JSON_STRUCTURE = 4, /* quotes and brackets */
};

static const uint8_t json_kinds[256] = {
    [' '] = JSON_BLANK,         ['\t'] = JSON_BLANK,        ['\n'] = JSON_BLANK,
    ['\r'] = JSON_BLANK,        ['"'] = JSON_STRUCTURE,     ['{'] = JSON_STRUCTURE,
    ['}'] = JSON_STRUCTURE,     ['['] = JSON_STRUCTURE,     [']'] = JSON_STRUCTURE,
    ['0' ... '9'] = JSON_WORD,  ['a' ... 'z'] = JSON_WORD,  ['-'] = JSON_WORD,
    ['+'] = JSON_WORD,          ['.'] = JSON_WORD,          ['E'] = JSON_WORD,
};

static inline bool json_is(char c, unsigned kind)
{
    return (json_kinds[(unsigned char)c] & kind) != 0;
}

/* Behind the bytes of that kind at `at`; at most `end`. */
static inline const char *json_pass(const char *at, const char *end, unsigned kind)
{
    while (at < end && json_is(*at, kind))
        at++;
    return at;
}

/* The next quote or bracket of any kind, or `end`. */
static inline const char *json_next_structure(const char *at, const char *end)
{
    for (int i = 0; i < 3 && at < end; i++, at++) /* seldom farther, but in arrays of numbers */
        if (json_is(*at, JSON_STRUCTURE))
            return at;
    for (; end - at >= LANES; at += LANES) {
        lanes v = lanes_load(at);
        lanes w = v | 0x20; /* makes a brace of a square bracket */
        unsigned bits = lanes_bits((lanes)((v == '"') | (w == '{') | (w == '}')));
        if (bits)
            return at + __builtin_ctz(bits);
    }
    while (at < end && !json_is(*at, JSON_STRUCTURE))
        at++;
    return at;
}
