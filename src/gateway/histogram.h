/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations by size, as Prometheus keeps them. One thread adds, any thread reads: plain
 * relaxed loads and stores, so adding costs no locked instruction. The zero value is empty.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS_MAX = 20 };

/* Upper bounds, ascending; a last bucket without a bound comes behind. */
struct histogram_scale {
    int64_t bounds_us[HISTOGRAM_BOUNDS_MAX];
    size_t count;
};

extern const struct histogram_scale histogram_first_token; /* 1 ms to 60 s */
extern const struct histogram_scale histogram_per_token;  /* 1 ms to 2.5 s */
extern const struct histogram_scale histogram_duration;   /* 10 ms to 11 min */
extern const struct histogram_scale histogram_overhead;   /* 5 us to 100 ms */

struct histogram {
    _Atomic uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* one bucket each, not cumulated */
    _Atomic uint64_t sum_us;
};

/* Adds to a counter that only this thread changes. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Adds one duration; a negative one counts as 0. */
void histogram_add(struct histogram *histogram, const struct histogram_scale *scale, int64_t us);
