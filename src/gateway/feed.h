/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows control's feed (ARCHITECTURE.md, "Control -> gateway feed") and makes snapshots of it.
 *
 * While control is away the last snapshot stays in force; at a start that is the one on the disk,
 * if there is one. A line that can't be understood is logged
 * once a stream and passed over; the stream is then opened anew, after a pause that doubles, so
 * that the state heals by itself without a storm of requests. Main thread.
 */
#pragma once

#include "gateway/snapshot.h"
#include "http/client.h"

enum {
    FEED_BATCH_MS = 5,         /* between two snapshots; what comes within makes one */
    FEED_REOPEN_MIN_MS = 1000, /* after a refused token or a bad line */
    FEED_REOPEN_MAX_MS = 10000,
};

struct feed;

struct feed_params {
    struct loop *loop;
    struct http_pool *pool;     /* of that loop */
    struct http_target control; /* copied */
    const char *token;          /* cluster token; copied, NULL: read from token_path at each try */
    const char *token_path;     /* copied; may be NULL when there is a token */
    const char *gateway;        /* our name in control's lines of spending; copied; NULL: none */
    const char *state_path;     /* file for the state (state_file.h); copied; NULL: none is kept */
    /* A new state; borrowed, take snapshot_ref(). */
    void (*on_snapshot)(struct feed *feed, struct snapshot *snapshot, void *ctx);
    /* Whether the feed follows control now; called on changes. */
    void (*on_connected)(struct feed *feed, bool is_connected, void *ctx);
    void *ctx;
};

/* Loads the state that is kept and starts; callbacks come later, never from inside. Returns owned.
 */
struct feed *feed_new(const struct feed_params *params);

/* Calls on_snapshot() with the state that was kept, if there was one; before the loop runs. */
void feed_publish_kept(struct feed *feed);

/* The cluster token as it is now, for other requests to control. Owned and secret. */
int feed_read_token(const struct feed *feed, char **ret, struct err *err) must_check;

/* What is counted for limits; lives as long as the feed. */
struct limit_book *feed_limits(struct feed *feed);

/* Number of the last line that was taken up. */
int64_t feed_seq(const struct feed *feed);

/* NULL is fine. Not from inside its callbacks. */
void feed_free(struct feed *feed);
