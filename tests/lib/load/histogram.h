/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of durations in buckets that grow with the value: each is at most 1/64 of its value wide,
 * so that any quantile is right to 1.6 %, from 1 ns to hours, in fixed memory.
 */
#pragma once

#include "base/json.h"

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 44 * HISTOGRAM_STEPS };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    int64_t max;
    double sum;
};

/* Negative ones count as 0. */
void histogram_add(struct histogram *histogram, int64_t ns);

/* The value that this part of all doesn't exceed; 0 when there are none. */
int64_t histogram_quantile(const struct histogram *histogram, double part);

/* {"count":N,"mean":US,"p50":US,...}: microseconds. */
void histogram_write(const struct histogram *histogram, struct json_writer *w);
