/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shard's requests do at this moment, by model: for figures that are shown live, where
 * metrics.h counts a request when it has ended. Tokens of a stream count as they pass.
 *
 * Each shard has a `struct live` of its own and is the only one that changes it, without a lock;
 * the main thread reads those of all shards (live_send.h). LIVE_MODELS_MAX models have counts of
 * their own, further ones share those of the model id 0.
 *
 *     live_place_set(&p->live, live_model(shard->live, id), LIVE_RUNNING);   // it is under way
 *     live_add(p->live.model, LIVE_TOKENS_OUT, 3);
 *     live_place_set(&p->live, NULL, LIVE_RUNNING);                          // it is over
 */
#pragma once

#include "gateway/histogram.h"
#include "gateway/record.h"

enum {
    LIVE_MODELS_MAX = 1000,
    LIVE_SLOTS = 4096, /* a power of two, well above LIVE_MODELS_MAX */
};

enum live_count {
    LIVE_REQUESTS, /* that ended */
    LIVE_ERRORS,   /* of these, failed for want of an instance, or by the engine's fault */
    LIVE_TOKENS_IN,
    LIVE_TOKENS_OUT,
    LIVE_COUNTS
};

enum live_gauge {
    LIVE_RUNNING, /* requests that an instance works on */
    LIVE_WAITING, /* that wait for one */
    LIVE_GAUGES
};

struct live_model {
    int64_t model_id; /* 0: all that have no place of their own */
    _Atomic uint64_t counts[LIVE_COUNTS];
    _Atomic int64_t gauges[LIVE_GAUGES];
    struct histogram first_token; /* histogram_first_token; of streams */
};

struct live {
    _Atomic(struct live_model *) slots[LIVE_SLOTS]; /* owned; NULL: free */
    size_t count;
    struct live_model other; /* is in no slot */
};

/* All counts are 0. Returns owned. */
struct live *live_new(void);

/* NULL is fine. */
void live_free(struct live *live);

/* The model's counts, made at its first request; they stay until live_free(). */
struct live_model *live_model(struct live *live, int64_t model_id);

/* The shard's own thread, as all that follow. */
void live_add(struct live_model *model, enum live_count count, uint64_t n);

/* A stream's first token came so long after the request's head. */
void live_note_first_token(struct live_model *model, int64_t us);

/* A request has ended; `told` of its tokens were added while they passed. */
void live_note_end(struct live_model *model, const struct usage_record *record, uint64_t told);

/* Where a request counts at the moment. The zero value: nowhere. */
struct live_place {
    struct live_model *model;
    enum live_gauge gauge;
};

/* It counts there from now on, and not where it did; `model` NULL: nowhere. */
void live_place_set(struct live_place *place, struct live_model *model, enum live_gauge gauge);
