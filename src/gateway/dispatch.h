/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request goes: the first look at each one. Answers what the gateway answers itself
 * (health, web UI, unknown paths, list of models) and hands the others to proxy.h and pass.h.
 */
#pragma once

#include "gateway/shard.h"

/* The shard's thread, once for each request's head. */
void dispatch_request(struct shard *shard, struct http_exchange *ex);
