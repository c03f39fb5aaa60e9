/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/clean_text_priv.h"

#include "base/utf8.h"

/* Of ASCII, or U+0080 to U+009F, which terminals obey as well. */
static bool is_control(const char *character, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)character;
    return n == 1 ? bytes[0] < ' ' || bytes[0] == 0x7f
                  : n == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0;
}

void clean_text_copy(char *to, size_t size, struct str text)
{
    size_t used = 0, n;
    for (; (n = utf8_sequence(text)) > 0 && used + n < size; text = str_skip(text, n)) {
        if (is_control(text.ptr, n)) {
            to[used++] = '?';
        } else {
            memcpy(to + used, text.ptr, n);
            used += n;
        }
    }
    to[used] = '\0';
}
