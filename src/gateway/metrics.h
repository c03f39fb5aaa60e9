/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard counts, and the page /metrics made of all shards' counts.
 *
 * Each shard has a `struct shard_metrics` of its own and is the only one that adds to it, without a
 * lock or a locked instruction; whoever answers /metrics reads them all. Requests are counted by
 * model, route and operation in blocks that are made at the first request of their kind and stay:
 * METRICS_SERIES_MAX of them, what comes later counts as "other".
 *
 *     metrics_note(shard->metrics, &record, tokens);               // a request ended
 *     metrics_add(shard->metrics, METRICS_RETRY_CONNECT, 1);
 *     metrics_move(shard->metrics, METRICS_IN_FLIGHT, +1);
 *     metrics_observe(shard->metrics, METRICS_ADDED_REQUEST, us);
 */
#pragma once

#include "gateway/breaker.h"
#include "gateway/histogram.h"
#include "gateway/process_stats.h"
#include "gateway/record.h"

enum { METRICS_SERIES_MAX = 1000 }; /* of a shard */

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metrics_counter {
    METRICS_RETRY_CONNECT, /* another instance was asked because: there was no connection */
    METRICS_RETRY_STATUS,  /* 502, 503, 504 */
    METRICS_STALE_RETRIES, /* sent again because a kept connection turned out to be closed */
    METRICS_ENGINE_NEW,    /* connections to engines: made */
    METRICS_ENGINE_REUSED, /* taken from the pool */
    METRICS_STREAM_NO_END, /* an engine's stream ended without its last event */
    METRICS_CONNECTIONS,   /* accepted from clients */
    METRICS_COUNTERS
};

enum metrics_gauge {
    METRICS_IN_FLIGHT, /* requests whose head was read and whose end wasn't */
    METRICS_QUEUED,    /* of these, waiting for an instance */
    METRICS_OPEN,      /* clients' connections */
    METRICS_GAUGES
};

enum metrics_histogram {
    METRICS_ADDED_REQUEST,    /* head complete -> request sent on, without the wait in the queue */
    METRICS_ADDED_FIRST_BYTE, /* engine's first byte read -> written */
    METRICS_ADDED_EVENT,      /* the same for a later event or piece */
    METRICS_HISTOGRAMS
};

struct shard_metrics;

/* All counts are 0. Owned by one thread at a time. */
struct shard_metrics *shard_metrics_new(void);

/* NULL is fine. */
void shard_metrics_free(struct shard_metrics *metrics);

/* When the first and the last chunk with content of a stream came from the engine, since the
 * request's head was complete. The zero value: there was none, or no stream. */
struct token_times {
    int64_t first_us, last_us;
};

/* A request ended: all that its record and its tokens tell. Allocates at the first of its kind
 * only. */
void metrics_note(struct shard_metrics *metrics, const struct usage_record *record,
                  struct token_times tokens);

/* The shard's own thread. */
void metrics_add(struct shard_metrics *metrics, enum metrics_counter counter, uint64_t n);
void metrics_move(struct shard_metrics *metrics, enum metrics_gauge gauge, int by);
void metrics_observe(struct shard_metrics *metrics, enum metrics_histogram histogram, int64_t us);

/* ---- the page ---- */

struct metrics_instance {
    const char *model, *name;
    enum breaker_state breaker;
    unsigned outstanding; /* requests under way */
};

/* What is told beside the shards' counts; all borrowed. */
struct metrics_view {
    const struct shard_metrics *const *shards;
    size_t shard_count;
    const struct metrics_instance *instances;
    size_t instance_count;
    bool is_connected;       /* the feed follows control */
    int64_t snapshot_seq;    /* -1: there is none yet */
    int64_t snapshot_age_ms; /* since it was made */
    uint64_t journal_unsent, journal_dropped, journal_disk_errors;
    uint64_t access_log_dropped;
    const struct process_stats *process;
};

/* Appends the whole page, in Prometheus' text format. Any thread. */
void metrics_write(const struct metrics_view *view, struct buf *out);
