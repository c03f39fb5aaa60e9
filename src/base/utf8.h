/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure. */
#pragma once

#include "base/str.h"

/* Length (1-4) of the valid sequence at the front of `s`, or 0 when there is none. */
size_t utf8_sequence(struct str s);

/* Whether all of `s` is valid. */
bool utf8_is_valid(struct str s);
