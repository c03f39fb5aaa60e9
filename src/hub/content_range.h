/* SPDX-License-Identifier: Apache-2.0 */
/* The header Content-Range (RFC 9110, 14.4) as answers to a request for one range have it. Pure. */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct content_range {
    uint64_t first, last; /* of the bytes that follow */
    uint64_t total;       /* bytes of the whole file */
};

/* False for anything but "bytes FIRST-LAST/TOTAL" with FIRST <= LAST < TOTAL. */
bool content_range_parse(struct str value, struct content_range *ret);
