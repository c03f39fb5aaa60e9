/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's own API on the worker port: health, forwarding to engines, engines' logs.
 *
 *     GET /healthz
 *     ANY /proxy/PATH      X-GPUStack-Model-Instance: ID, Authorization: Bearer INSTANCE_TOKEN
 *     GET /serveLogs/ID    ?tail=N&offset=BYTE&limit=BYTES&follow=true&run=R, the same bearer
 *     GET /serveLogs/ID/runs
 *
 * Engines listen on 127.0.0.1 only: this is the way to them from other machines. One loop's thread.
 */
#pragma once

#include "http/server.h"
#include "worker/runner_set.h"

struct relay;

/* Listens on `host`:`port`. `runners` and `pool` are borrowed for its life. Returns owned. */
int relay_new(struct loop *loop, struct http_pool *pool, const struct runner_set *runners,
              const char *host, unsigned port, struct relay **ret, struct err *err) must_check;

/* Cuts what is under way. NULL is fine. */
void relay_free(struct relay *relay);

/* Port that it listens on. */
unsigned relay_port(const struct relay *relay);

/* Whether an Authorization value is "Bearer TOKEN"; in a time that tells nothing of the token. */
bool relay_is_authorized(struct str authorization, const char *token);
