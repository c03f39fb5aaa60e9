/* SPDX-License-Identifier: Apache-2.0 */
/* How an endpoint is reached from here: straight on this machine, or through its worker's relay. */
#pragma once

#include "gateway/entry.h"
#include "http/client.h"

struct engine_target {
    struct http_target target;
    struct str path;   /* borrowed, or `relayed` */
    char *relayed;     /* owned; NULL when it is straight */
    char instance_id[24];
    struct http_header headers[2]; /* Authorization, and for the relay X-GPUStack-Model-Instance */
    unsigned header_count;
};

/*
 * `endpoint` is of kind ENTRY_ENDPOINT; `netns_id` is this process's; `path` is what the engine is
 * asked for ("/v1/..."). `ret` borrows from all of them and from itself: it must not be moved.
 */
void engine_target_init(struct engine_target *ret, const struct entry *endpoint,
                        const char *netns_id, struct str path);
void engine_target_fini(struct engine_target *target);
