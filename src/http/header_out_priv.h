/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a head on its way out, shared by requests and responses. Pure. */
#pragma once

#include "base/buf.h"

/* Appends "NAME: VALUE" and the line's end. Both must be what a header may hold. */
static inline void header_out_add(struct buf *out, struct str name, struct str value)
{
    size_t size = name.len + value.len + 4;
    char *at = buf_reserve(out, size);
    str_copy_short(at, name);
    memcpy(at + name.len, ": ", 2);
    str_copy_short(at + name.len + 2, value);
    memcpy(at + size - 2, "\r\n", 2);
    buf_grew(out, size);
}
