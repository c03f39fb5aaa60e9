/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sends an inference request, and whether he may. API keys (Bearer or X-API-Key) and session
 * cookies; user name and password are not taken on /v1. Pure; any thread that holds the snapshot.
 */
#pragma once

#include "auth/auth.h"
#include "gateway/snapshot.h"
#include "http/message.h"

struct identity {
    struct entry *user; /* borrowed from the snapshot */
    struct entry *key;  /* NULL: came with a session; borrowed from the snapshot */
};

/*
 * `cache` is the thread's, or NULL; `now_ms` is wall time. ERR_UNAUTHORIZED when there are no good
 * credentials, ERR_FORBIDDEN when they are good but not for inference. The text never holds what
 * was sent.
 */
int authenticate(const struct snapshot *snapshot, struct auth_cache *cache,
                 const struct http_headers *headers, int64_t now_ms, struct identity *ret,
                 struct err *err) must_check;
