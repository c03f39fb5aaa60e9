/* SPDX-License-Identifier: Apache-2.0 */
/* How metrics.c keeps what metrics_write.c writes. */
#pragma once

#include "gateway/metrics.h"

enum {
    SERIES_CODES = 16,     /* statuses with their outcome; the last one takes the rest */
    SERIES_SLOTS = 4096,   /* a power of two, well above METRICS_SERIES_MAX */
    CODE_OTHER = 1000,     /* status of the last of SERIES_CODES when it is for the rest */
};

enum token_kind { TOKENS_INPUT, TOKENS_CACHED, TOKENS_OUTPUT, TOKEN_KINDS };

struct series_times {
    struct histogram first_token, per_token, duration;
};

struct series_code {
    unsigned status; /* valid when count isn't 0 */
    enum outcome outcome;
    _Atomic uint64_t count;
};

/* Requests of one kind. Never changes its labels, is never freed before its shard. */
struct series {
    int64_t model_id;
    enum operation operation; /* OPERATION_COUNT: "other" */
    char *model, *route;      /* owned */
    struct series_code codes[SERIES_CODES];
    _Atomic uint64_t tokens[TOKEN_KINDS];
    _Atomic(struct series_times *) times[OUTCOME_COUNT]; /* owned; NULL until the first */
};

struct shard_metrics {
    _Atomic(struct series *) slots[SERIES_SLOTS]; /* owned; NULL: free */
    size_t series_count;
    struct series other; /* is in no slot */
    _Atomic uint64_t attempts;
    _Atomic uint64_t aborted[PHASE_COUNT];
    _Atomic uint64_t counters[METRICS_COUNTERS];
    _Atomic int64_t gauges[METRICS_GAUGES];
    struct histogram queue_wait;
    struct histogram histograms[METRICS_HISTOGRAMS];
};
