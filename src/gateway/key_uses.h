/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells control which API keys were used lately (POST /v2/key-uses), at most every KEY_USES_MS. The
 * loops only note a time in the key's entry, without a lock; here the entries of the latest
 * snapshot are looked through. What couldn't be told is told the next time. Main thread.
 */
#pragma once

#include "gateway/feed.h"

enum { KEY_USES_MS = 10000, KEY_USES_ITEMS_MAX = 10000 /* of one request; what is more waits */ };

struct key_uses;

/* `pool`, `feed` (for the cluster token) and `control` are borrowed. Returns owned. */
struct key_uses *key_uses_new(struct loop *loop, struct http_pool *pool, struct feed *feed,
                              const struct http_target *control);

/* NULL is fine. */
void key_uses_free(struct key_uses *uses);

/* The latest snapshot. */
void key_uses_take(struct key_uses *uses, struct snapshot *snapshot);
