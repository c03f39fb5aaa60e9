/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/logscan.h"

#include "base/buf.h"
#include "base/utf8.h"

static bool has_word(struct str line, struct str word)
{
    for (size_t i = 0; i + word.len <= line.len; i++)
        if (str_eq_nocase(str_sub(line.ptr + i, word.len), word))
            return true;
    return false;
}

static bool speaks_of_error(struct str line)
{
    static const char *const words[] = {
        "error",        "failed",  "fatal", "exception",     "traceback", "abort",   "panic",
        "segmentation", "cannot ", "can't", "out of memory", "not found", "no such", "assertion"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (has_word(line, str_of(words[i])))
            return true;
    return false;
}

/* Length of an ANSI escape sequence ("ESC [ 31 m") at the front, 0 when there is none. */
static size_t escape_length(struct str s)
{
    if (s.len < 2 || s.ptr[0] != '\033' || s.ptr[1] != '[')
        return 0;
    size_t n = 2;
    while (n < s.len && (unsigned char)s.ptr[n] < 0x40)
        n++;
    return n < s.len ? n + 1 : n;
}

static char *clean(struct str line)
{
    struct buf out = {0};
    while (line.len && out.len < LOGSCAN_LINE_MAX) {
        size_t escape = escape_length(line);
        size_t n = utf8_sequence(line);
        if (!escape && n && out.len + n <= LOGSCAN_LINE_MAX && (unsigned char)line.ptr[0] >= ' ')
            buf_add(&out, line.ptr, n);
        line = str_skip(line, escape ? escape : n ? n : 1);
    }
    return buf_take(&out);
}

char *logscan_error_line(struct str text, bool or_last)
{
    struct str line, last_error = {0}, last = {0};
    while (str_split(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len == 0)
            continue;
        last = line;
        if (speaks_of_error(line))
            last_error = line;
    }
    if (last_error.len)
        return clean(last_error);
    return or_last && last.len ? clean(last) : NULL;
}
