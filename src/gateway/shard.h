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
#include "gateway/body.h"
#include "gateway/journal.h"
#include "gateway/live.h"
#include "gateway/metrics.h"
#include "gateway/queue.h"
#include "gateway/record.h"
#include "gateway/site.h"
#include "gateway/snapshot.h"
#include "http/client.h"
#include "http/server.h"

#include <pthread.h>

enum { GATEWAY_THREADS_MAX = 64 };

/* What an operator sets. */
struct gateway_settings {
    uint64_t body_max;        /* bytes of a request body */
    int64_t queue_timeout_ms; /* a request waits so long for an instance; 0: not at all */
    int64_t sse_keepalive_ms; /* silence of a stream after which a comment is sent; 0: never */
    unsigned queue_max;       /* requests that wait for an instance of a model, per shard */
};

/* What all shards see; outlives them. */
struct shard_shared {
    struct http_target control;
    struct gateway_settings settings;
    const struct site *site;  /* the web UI; without files when there is none */
    char *spool_dir;          /* owned; where large bodies go; NULL: see body.h */
    char *netns_id;           /* owned; endpoints with the same one are on this machine */
    atomic_bool is_connected; /* the feed follows control; relaxed */
    struct journal *journal;  /* NULL: usage isn't kept */
    struct shard *const *shards; /* all of them, for what one tells of all */
    unsigned shard_count;
    _Atomic int64_t snapshot_seq; /* of the feed's last line that is in force; -1: none; relaxed */
    _Atomic int64_t snapshot_ms;  /* clock's monotonic time of it */
    struct access_log *access_log; /* owned; NULL: there is none */
};

/* A block of memory that is kept for the next use. */
struct spare {
    struct spare *next;
};

struct shard {
    const struct shard_shared *shared;
    unsigned index; /* among the gateway's shards */
    struct loop *loop;
    struct http_server *server;
    struct http_pool *pool;
    struct snapshot *snapshot; /* a reference; NULL until the first came */
    unsigned turn;             /* for targets_find() */
    struct queue queue;        /* requests that wait for an instance */
    struct spool spool;        /* their bodies */
    struct timer trim_timer;   /* armed: memory is going to be given back to the kernel */
    struct shard_metrics *metrics; /* owned */
    struct live *live;             /* owned */
    struct auth_cache *auth_cache;
    struct spare *spare_proxies; /* memory of requests that ended */
    unsigned spare_count;
    struct reading *spare_reading;
    struct journal_outbox *outbox; /* NULL: usage isn't kept */
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

/* As http_server_listen_unix(). Before shard_start(). */
int shard_listen_unix(struct shard *shard, const char *path, struct err *err) must_check;

/* What connects by TCP from now on speaks TLS. Before shard_start(). */
void shard_set_certificate(struct shard *shard, struct certificate *certificate);

/* Any thread: the same while it runs; takes a reference of its own. */
void shard_replace_certificate(struct shard *shard, struct certificate *certificate);

/* Starts the thread. -EAGAIN when there are no more threads. */
int shard_start(struct shard *shard, struct err *err) must_check;

/* Main thread: the shard goes on with `snapshot` (takes a reference of its own); before
 * shard_start() it is in force for the first request. */
void shard_publish(struct shard *shard, struct snapshot *snapshot);

/*
 * Any thread: stops listening, ends streams from control, lets requests finish for at most
 * `max_ms`, then sets is_drained.
 */
void shard_drain(struct shard *shard, int64_t max_ms);

/* Shard's thread: a request is over. `tokens` is for the metrics, `request` for the access
 * log. */
void shard_note_record(struct shard *shard, const struct usage_record *record,
                       struct token_times tokens, const struct access_request *request);

/* Stops the thread and waits for it, breaks off what is left, frees. NULL is fine. */
void shard_free(struct shard *shard);
