/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes of RFC 9110 sections 5.5 and 5.6.2, for the parsers of this folder. Pure. */
#pragma once

#include <stdbool.h>

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

/* A character of a header value or reason phrase: tab, space, visible ASCII, bytes from 0x80. */
static inline bool http_char_is_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}
