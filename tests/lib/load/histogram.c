/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/load/histogram.h"

enum { STEP_BITS = 6 };

/* Values below 64 have a bucket each; above, each power of two has 64. */
static size_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    unsigned shift = 63u - STEP_BITS - (unsigned)__builtin_clzll(value);
    size_t bucket = ((size_t)shift + 1) * HISTOGRAM_STEPS + (size_t)(value >> shift) -
                    HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static int64_t value_of(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket / HISTOGRAM_STEPS) - 1;
    int64_t low = (int64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
    return low + (INT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *histogram, int64_t ns)
{
    int64_t value = ns > 0 ? ns : 0;
    histogram->counts[bucket_of((uint64_t)value)]++;
    histogram->total++;
    histogram->sum += (double)value;
    if (value > histogram->max)
        histogram->max = value;
}

int64_t histogram_quantile(const struct histogram *histogram, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)histogram->total), seen = 0;
    if (histogram->total == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted)
            return value_of(i) < histogram->max ? value_of(i) : histogram->max;
    }
    return histogram->max;
}

static void put(struct json_writer *w, const char *key, double ns)
{
    json_add_key(w, key);
    json_add_double(w, ns / 1000);
}

void histogram_write(const struct histogram *histogram, struct json_writer *w)
{
    double count = histogram->total ? (double)histogram->total : 1;
    json_begin_object(w);
    json_put_int(w, "count", (int64_t)histogram->total);
    put(w, "mean", histogram->sum / count);
    put(w, "p50", (double)histogram_quantile(histogram, 0.5));
    put(w, "p90", (double)histogram_quantile(histogram, 0.9));
    put(w, "p99", (double)histogram_quantile(histogram, 0.99));
    put(w, "p999", (double)histogram_quantile(histogram, 0.999));
    put(w, "max", (double)histogram->max);
    json_end_object(w);
}
