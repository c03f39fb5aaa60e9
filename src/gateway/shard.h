/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the gateway's threads: a loop with a listener, a connection pool and a snapshot of its
 * own. Shards share nothing that changes but the counters in endpoints and the flags in
 * shard_shared.
 *
 * Made and freed by the main thread while the shard's thread doesn't run; in between only the calls
 * marked "any thread" are for others.
 */
#pragma once

#include "base/list.h"
#include "gateway/access_log.h"
#include "gateway/metrics.h"
#include "gateway/snapshot.h"
#include "http/client.h"
#include "http/server.h"

#include <pthread.h>

/* What all shards see; outlives them. */
struct shard_shared {
    struct http_target control;
    char *netns_id;           /* owned; endpoints with the same one are on this machine */
    atomic_bool is_connected; /* the feed follows control; relaxed */
    struct access_log *access_log; /* owned; NULL: there is none */
};

struct shard {
    const struct shard_shared *shared;
    unsigned index; /* among the gateway's shards */
    struct shard_metrics *metrics; /* owned */
    struct loop *loop;
    struct http_server *server;
    struct http_pool *pool;
    struct snapshot *snapshot; /* a reference; NULL until the first came */
    unsigned turn;             /* for balance_take() */
    struct list_node passes;   /* struct pass: exchanges with control in progress */
    struct timer drain_timer;
    int64_t drain_until_ms; /* loop time */
    atomic_bool is_drained; /* the drain ended; relaxed */
    pthread_t thread;
    bool is_running; /* `thread` was started; main thread's */
};

struct shard *shard_new(const struct shard_shared *shared, const struct clock *clock);

/* As http_server_listen_tcp(). Before shard_start(). */
int shard_listen(struct shard *shard, const char *host, unsigned port, bool reuse_port,
                 struct err *err) must_check;

/* Starts the thread. -EAGAIN when there are no more threads. */
int shard_start(struct shard *shard, struct err *err) must_check;

/* Any thread: the shard goes on with `snapshot` (takes a reference of its own). */
void shard_publish(struct shard *shard, struct snapshot *snapshot);

/*
 * Any thread: stops listening, ends streams from control, lets requests finish for at most
 * `max_ms`, then sets is_drained.
 */
void shard_drain(struct shard *shard, int64_t max_ms);

/* Stops the thread and waits for it, breaks off what is left, frees. NULL is fine. */
void shard_free(struct shard *shard);
