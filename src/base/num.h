/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes and durations from text: whole input, range-checked, no locale, no octal. Pure. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Decimal integer with optional '-'. -EINVAL when not a number, -ERANGE outside min..max. */
int num_parse_i64(struct str s, int64_t min, int64_t max, int64_t *ret) must_check;

/* Unsigned decimal integer; for Content-Length and the like: no sign, no space. */
int num_parse_u64(struct str s, uint64_t *ret) must_check;

/* "1.5 GiB" style text for people. Returns owned. */
char *num_format_bytes(uint64_t bytes);
