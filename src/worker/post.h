/* SPDX-License-Identifier: Apache-2.0 */
/* One POST of JSON to the server, with the whole (small) reply: joining and reporting. One loop. */
#pragma once

#include "base/buf.h"
#include "http/client.h"

enum {
    POST_TIMEOUT_MS = 10000,   /* for connecting, and then for the reply's head */
    POST_REPLY_MAX = 64 << 10, /* bytes of a reply that are kept */
};

struct post;

/* `status` is the HTTP status with the reply's body, or a negative code with a sentence. */
typedef void post_cb(struct post *post, int status, struct str reply, void *ctx);

struct post {
    struct http_pool *pool;
    struct http_call *call; /* NULL: none runs */
    struct buf body;        /* filled by the owner before post_send(); stays until the next */
    struct buf reply;
    char *authorization; /* owned; "Bearer ..." */
    unsigned status;
    post_cb *cb;
    void *ctx;
};

/* The memory must be zeroed. */
void post_init(struct post *post, struct http_pool *pool, post_cb *cb, void *ctx);
void post_fini(struct post *post);

/* Sends `post->body`. None may run. */
void post_send(struct post *post, const struct http_target *target, const char *path,
               const char *bearer);

/* Ends a running call without a callback. */
void post_cancel(struct post *post);

static inline bool post_is_running(const struct post *post)
{
    return post->call != NULL;
}

/* What an error reply says: its JSON "message", else the status. Returns owned. */
char *post_fault(int status, struct str reply);
