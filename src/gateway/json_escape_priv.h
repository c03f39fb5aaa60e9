/* SPDX-License-Identifier: Apache-2.0 */
/* Escapes inside of JSON strings. Pure. */
#pragma once

#include "base/str.h"

enum {
    JSON_ESCAPE_MAX = 12,      /* bytes of the longest escape: a surrogate pair */
    JSON_ESCAPE_OUT_MAX = 4,   /* bytes of UTF-8 that one gives */
};

/*
 * Decodes `text`, one escape from its backslash on, to UTF-8 in `out`. Gives the number of bytes
 * there; 0 when more of `text` is needed; -1 when it isn't an escape or gives a NUL. `text` must
 * not go on behind the escape: give it byte by byte, or whole.
 */
int json_unescape(struct str text, char out[JSON_ESCAPE_OUT_MAX]);
