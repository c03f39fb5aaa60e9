/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/json_escape_priv.h"

#include <stdint.h>

enum { UNIT_LEN = 6 }; /* bytes of \uXXXX */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* \uXXXX, or the beginning of it: the code unit, 0 when more is needed, -1 when it is another. */
static int32_t code_unit(struct str text)
{
    int32_t unit = 0;
    if (text.len < 2)
        return text.ptr[0] == '\\' ? 0 : -1;
    if (text.ptr[0] != '\\' || text.ptr[1] != 'u')
        return -1;
    for (size_t i = 2; i < text.len; i++) {
        int digit = hex_value(text.ptr[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    if (text.len < UNIT_LEN)
        return 0;
    return unit ? unit : -1;
}

/* One code unit or a surrogate pair: the code point, 0 when more is needed, -1 when it is none. */
static int32_t code_point(struct str text)
{
    int32_t high = code_unit(str_sub(text.ptr, text.len < UNIT_LEN ? text.len : UNIT_LEN));
    if (high <= 0 || high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff)
        return -1;
    if (text.len == UNIT_LEN)
        return 0;
    int32_t low = code_unit(str_skip(text, UNIT_LEN));
    if (low <= 0)
        return low;
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static int encode_utf8(int32_t point, char out[JSON_ESCAPE_OUT_MAX])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    int n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | point);
    return n;
}

int json_unescape(struct str text, char out[JSON_ESCAPE_OUT_MAX])
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (text.len < 2)
        return 0;
    if (text.ptr[1] == 'u') {
        int32_t point = code_point(text);
        return point > 0 ? encode_utf8(point, out) : (int)point;
    }
    const char *name = memchr(names, text.ptr[1], sizeof names - 1);
    if (!name)
        return -1;
    out[0] = values[name - names];
    return 1;
}
