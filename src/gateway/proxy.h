/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an inference request: who asks, the body, which model, its limits, which instance,
 * forward; another instance when the first fails before a byte of its response; the record. The
 * shard's thread. doc/internals/gateway.md has the phases.
 */
#pragma once

#include "gateway/authenticate.h"
#include "gateway/fault.h"
#include "gateway/shard.h"

enum {
    PROXY_ATTEMPTS = 3,             /* instances asked at most */
    PROXY_IDLE_TIMEOUT_MS = 600000, /* between two pieces of a response: an engine may think */
};

/*
 * Checks the credentials at `now_ms` of wall time. False when they don't do: then the exchange was
 * answered. The identity borrows from the shard's snapshot, which is there when this is true.
 */
bool proxy_admit(const struct shard *shard, struct http_exchange *ex, enum dialect dialect,
                 const struct request_id *id, int64_t now_ms, struct identity *ret);

/* Takes the exchange; `match` is of ROUTE_INFER or ROUTE_PROXY. Call it from on_request(). */
void proxy_start(struct shard *shard, struct http_exchange *ex, const struct route_match *match);

/* Whether the request that waits in the shard's queue may be served with the present snapshot. */
bool proxy_is_servable(struct waiter *waiter);
