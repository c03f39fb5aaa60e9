/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends the journal's records to control (POST /v2/usage-records), oldest first, one batch at a
 * time, as soon as they are durable. Nothing is forgotten before control has said that it is
 * durable there; what was sent without an answer is sent again, and control passes over what it
 * has.
 *
 * When control refuses a batch (400, 413), smaller ones are sent, led by the index that it names,
 * until the record is alone; that one is put aside and the rest goes on. Main thread.
 */
#pragma once

#include "gateway/feed.h"
#include "gateway/journal.h"

enum {
    USAGE_SEND_RETRY_MIN_MS = 500, /* after a failure; doubles up to */
    USAGE_SEND_RETRY_MAX_MS = 10000,
    USAGE_SEND_OLDER_MS = 60000,      /* when control has no such path: it is older than we are */
    USAGE_SEND_ANSWER_MAX = 16 << 10, /* bytes of an answer that are looked at */
};

struct usage_send;

struct usage_send_params {
    struct loop *loop;
    struct http_pool *pool; /* of that loop */
    struct feed *feed;      /* for the cluster token */
    struct journal *journal;
    struct http_target control; /* copied */
    /* Control has all up to `seq`, and its figures hold them. Optional. */
    void (*on_applied)(uint64_t seq, void *ctx);
    void *ctx;
};

/* Becomes the journal's reader. What `params` points to is borrowed. Returns owned. */
struct usage_send *usage_send_new(const struct usage_send_params *params);

/* Before its journal, feed and pool. NULL is fine. */
void usage_send_free(struct usage_send *send);

/*
 * Sends what the journal has been handed, until all is sent, a try fails, or `max_ms` are over;
 * then calls on_done(), once, never from inside.
 */
void usage_send_drain(struct usage_send *send, int64_t max_ms, void (*on_done)(void *ctx),
                      void *ctx);

/* Any thread: wall time at which the oldest request that control doesn't know began; 0: none. */
int64_t usage_send_oldest_ms(const struct usage_send *send);
