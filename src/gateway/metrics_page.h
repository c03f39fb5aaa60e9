/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /metrics: the counts of all shards and what the gateway knows beside them. It names models
 * and instances, so it isn't for everybody: who asks from this machine itself, or with an admin's
 * key or session. The shard's thread.
 */
#pragma once

#include "gateway/shard.h"

/* Replies with the page, or with an error in the management API's dialect. */
void metrics_page_reply(const struct shard *shard, struct http_exchange *ex);
