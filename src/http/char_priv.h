/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes of RFC 9110 sections 5.5 and 5.6.2, for the parsers of this folder. Pure. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* A character of a token: methods and header names. */
static inline bool http_char_is_token(unsigned char c)
{
    static const bool table[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
        ['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
        ['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
        ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
        ['|'] = true,         ['~'] = true,
    };
    return table[c];
}

static inline bool http_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_char_is_token((unsigned char)s.ptr[i]))
            return false;
    return s.len > 0;
}

/* A character of a header value or reason phrase: tab, space, visible ASCII, bytes from 0x80. */
static inline bool http_char_is_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Whether a byte below 0x20 or 0x7f is among these eight. */
static inline bool http_has_control(uint64_t eight)
{
    const uint64_t ones = UINT64_MAX / 255, highs = ones << 7;
    uint64_t below = (eight - ones * 0x20) & ~eight;
    uint64_t del = eight ^ (ones * 0x7f);
    return (below | ((del - ones) & ~del)) & highs;
}

/* Values are most of a head's bytes: eight at a time, one by one only where a tab may be. */
static inline bool http_is_value(struct str s)
{
    for (; s.len >= sizeof(uint64_t); s = str_skip(s, sizeof(uint64_t))) {
        uint64_t eight;
        memcpy(&eight, s.ptr, sizeof eight);
        if (!http_has_control(eight))
            continue;
        for (size_t i = 0; i < sizeof eight; i++)
            if (!http_char_is_value((unsigned char)s.ptr[i]))
                return false;
    }
    for (size_t i = 0; i < s.len; i++)
        if (!http_char_is_value((unsigned char)s.ptr[i]))
            return false;
    return true;
}
