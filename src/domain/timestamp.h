/* SPDX-License-Identifier: Apache-2.0 */
/* Times as texts; they are written by base/clock.h. Pure, any thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Wall-clock ms of an ISO 8601 text with a zone ("Z", "+02:00"); -EINVAL. */
int timestamp_parse(struct str text, int64_t *ret) must_check;
