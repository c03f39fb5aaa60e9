/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in tests of the Messages translation, with ' for " so that it can be read. */
#pragma once

#include "base/buf.h"

/* A copy of `text` with " for each '. Returns owned. */
static inline char *unquote(const char *text)
{
    char *copy = str_dup(str_of(text));
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

/* `front`, `n` times `piece`, `back`. Returns owned. */
static inline struct buf repeat(const char *front, size_t n, const char *piece, const char *back)
{
    struct buf out = {0};
    buf_add_cstr(&out, front);
    for (size_t i = 0; i < n; i++)
        buf_add_cstr(&out, piece);
    buf_add_cstr(&out, back);
    return out;
}
