/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum by which a hub knows a file's content (hub/listing.h), made piece by piece. */
#pragma once

#include "hub/listing.h"

struct checksum;

/* Of a file of `bytes` bytes, which git's kind begins with. Returns owned. */
struct checksum *checksum_new(enum sum_kind kind, uint64_t bytes);
void checksum_add(struct checksum *checksum, struct str piece);

/* Whether what was added is what `sum` says; true with SUM_NONE. Once, at the end. */
bool checksum_matches(struct checksum *checksum, const char *sum);

/* NULL is fine. */
void checksum_free(struct checksum *checksum);
