/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/histogram.h"

/* The first three as OpenTelemetry has them for generative AI, with more room for slow prompts and
 * fast tokens. */
const struct histogram_scale histogram_first_token = {
    .bounds_us = {1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000, 750000,
                  1000000, 2500000, 5000000, 7500000, 10000000, 20000000, 30000000, 60000000},
    .count = 19};

const struct histogram_scale histogram_per_token = {
    .bounds_us = {1000, 2500, 5000, 10000, 25000, 50000, 75000, 100000, 150000, 200000, 300000,
                  400000, 500000, 750000, 1000000, 2500000},
    .count = 16};

const struct histogram_scale histogram_duration = {
    .bounds_us = {10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000, 5120000,
                  10240000, 20480000, 40960000, 81920000, 163840000, 327680000, 655360000},
    .count = 17};

const struct histogram_scale histogram_overhead = {
    .bounds_us = {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000},
    .count = 12};

void histogram_add(struct histogram *histogram, const struct histogram_scale *scale, int64_t us)
{
    size_t i = 0;
    if (us < 0)
        us = 0;
    while (i < scale->count && us > scale->bounds_us[i])
        i++;
    counter_add(&histogram->counts[i], 1);
    counter_add(&histogram->sum_us, (uint64_t)us);
}
