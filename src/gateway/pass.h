/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Management requests on their way to control and back, streamed in both directions without a time
 * limit: watches stay open for as long as both sides want.
 */
#pragma once

#include "gateway/shard.h"

/* Takes the exchange. Call it from on_request(). */
void pass_start(struct shard *shard, struct http_exchange *ex);

/*
 * For a drain: ends the responses that have no length, since watches never end by themselves; their
 * clients open them again elsewhere.
 */
void pass_end_streams(struct shard *shard);
