/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells control every LIVE_SEND_MS what all shards' requests do (POST /v2/gateway-samples), for the
 * live figures and their history. Counts are those since the gateway began, so that a post that is
 * lost or comes twice falsifies nothing; models of which nothing has changed are left out.
 *
 * Control answers 409 when it doesn't know this gateway yet: then the next post has all models.
 * Main thread.
 */
#pragma once

#include "gateway/feed.h"
#include "gateway/live.h"

enum {
    LIVE_SEND_MS = 2000,
    LIVE_SEND_OLDER_MS = 60000, /* when control has no such path: it is older than we are */
};

struct live_send;

struct live_send_params {
    struct loop *loop;
    struct http_pool *pool;        /* of that loop */
    struct feed *feed;             /* for the cluster token */
    struct http_target control;    /* copied */
    struct live *const *lives;     /* of the shards; owned by the caller with all it points to */
    unsigned live_count;
};

/* What `params` points to is borrowed, but for `lives`, which is copied. Returns owned. */
struct live_send *live_send_new(const struct live_send_params *params);

/* Before the shards, feed and pool. NULL is fine. */
void live_send_free(struct live_send *send);
