/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an inference request: who asks, the whole body, which model, which endpoint, forward;
 * another endpoint when the first fails before a byte of its response.
 */
#pragma once

#include "gateway/authenticate.h"
#include "gateway/openai.h"
#include "gateway/shard.h"

enum {
    PROXY_BODY_MAX = 32 << 20,      /* bytes of a request body */
    PROXY_ATTEMPTS = 2,             /* endpoints tried at most */
    PROXY_IDLE_TIMEOUT_MS = 600000, /* between two pieces of a response: an engine may think */
};

/*
 * Checks the credentials. False when they don't do: then the exchange was answered. The identity
 * borrows from the shard's snapshot, which is there when this is true.
 */
bool proxy_admit(const struct shard *shard, struct http_exchange *ex, const struct request_id *id,
                 struct identity *ret);

/* Takes the exchange. `engine_path` is static. Call it from on_request(). */
void proxy_start(struct shard *shard, struct http_exchange *ex, const char *engine_path);
