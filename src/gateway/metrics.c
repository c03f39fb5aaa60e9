/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_priv.h"

#include "base/mem.h"

#include <string.h>

/* ---- series ---- */

/* Not a good hash of names, but a cheap one: most routes differ in model or in their begin. */
static size_t hash(const struct usage_record *record)
{
    uint64_t begin;
    memcpy(&begin, record->route, sizeof begin);
    /* What lies behind the end of a short name is whatever was there. */
    size_t len = strnlen(record->route, sizeof begin);
    begin = len == sizeof begin ? begin : begin & ((UINT64_C(1) << 8 * len) - 1);
    uint64_t mixed = begin ^ (uint64_t)record->model_id * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (uint64_t)record->operation) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(mixed >> 40) & (SERIES_SLOTS - 1);
}

static bool is_of(const struct series *series, const struct usage_record *record)
{
    return series->model_id == record->model_id && series->operation == record->operation &&
           strcmp(series->route, record->route) == 0 && strcmp(series->model, record->model) == 0;
}

static struct series *add_series(struct shard_metrics *metrics, size_t slot,
                                 const struct usage_record *record)
{
    if (metrics->series_count >= METRICS_SERIES_MAX)
        return &metrics->other;
    struct series *series = mem_alloc(sizeof *series);
    series->model_id = record->model_id;
    series->operation = record->operation;
    series->model = mem_strdup(record->model);
    series->route = mem_strdup(record->route);
    metrics->series_count++;
    atomic_store_explicit(&metrics->slots[slot], series, memory_order_release);
    return series;
}

static struct series *find_series(struct shard_metrics *metrics, const struct usage_record *record)
{
    for (size_t slot = hash(record);; slot = (slot + 1) & (SERIES_SLOTS - 1)) {
        struct series *series = atomic_load_explicit(&metrics->slots[slot], memory_order_relaxed);
        if (!series)
            return add_series(metrics, slot, record);
        if (is_of(series, record))
            return series;
    }
}

static void count_code(struct series *series, unsigned status, enum outcome outcome)
{
    for (int i = 0; i < SERIES_CODES; i++) {
        struct series_code *code = &series->codes[i];
        uint64_t count = atomic_load_explicit(&code->count, memory_order_relaxed);
        bool is_rest = i == SERIES_CODES - 1;
        if (count == 0) {
            code->status = is_rest ? CODE_OTHER : status;
            code->outcome = is_rest ? OUTCOME_OK : outcome; /* one series, of whatever outcome */
        }
        if (is_rest || (code->status == status && code->outcome == outcome)) {
            atomic_store_explicit(&code->count, count + 1, memory_order_release);
            return;
        }
    }
}

static struct series_times *times_of(struct series *series, enum outcome outcome)
{
    struct series_times *times =
        atomic_load_explicit(&series->times[outcome], memory_order_relaxed);
    if (!times) {
        times = mem_alloc(sizeof *times);
        atomic_store_explicit(&series->times[outcome], times, memory_order_release);
    }
    return times;
}

/* Tokens that came in one piece were not apart in time: they say nothing of the time between. */
static void count_times(struct series *series, const struct usage_record *record,
                        struct token_times tokens)
{
    struct series_times *times = times_of(series, record->outcome);
    histogram_add(&times->duration, &histogram_duration, record->total_us);
    if (tokens.first_us == 0)
        return;
    histogram_add(&times->first_token, &histogram_first_token, tokens.first_us);
    if (tokens.last_us > tokens.first_us && record->completion_tokens > 1)
        histogram_add(&times->per_token, &histogram_per_token,
                      (tokens.last_us - tokens.first_us) / (record->completion_tokens - 1));
}

static uint64_t not_negative(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

void metrics_note(struct shard_metrics *metrics, const struct usage_record *record,
                  struct token_times tokens)
{
    struct series *series = find_series(metrics, record);
    count_code(series, record->status, record->outcome);
    count_times(series, record, tokens);
    counter_add(&series->tokens[TOKENS_INPUT], not_negative(record->prompt_tokens));
    counter_add(&series->tokens[TOKENS_CACHED], not_negative(record->cached_tokens));
    counter_add(&series->tokens[TOKENS_OUTPUT], not_negative(record->completion_tokens));
    counter_add(&metrics->attempts, record->attempts);
    if (record->is_aborted)
        counter_add(&metrics->aborted[record->phase], 1);
    if (record->queue_us > 0)
        histogram_add(&metrics->queue_wait, &histogram_first_token, record->queue_us);
}

/* ---- the shard's own ---- */

void metrics_add(struct shard_metrics *metrics, enum metrics_counter counter, uint64_t n)
{
    counter_add(&metrics->counters[counter], n);
}

void metrics_move(struct shard_metrics *metrics, enum metrics_gauge gauge, int by)
{
    _Atomic int64_t *value = &metrics->gauges[gauge];
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void metrics_observe(struct shard_metrics *metrics, enum metrics_histogram histogram, int64_t us)
{
    histogram_add(&metrics->histograms[histogram], &histogram_overhead, us);
}

struct shard_metrics *shard_metrics_new(void)
{
    struct shard_metrics *metrics = mem_alloc(sizeof *metrics);
    metrics->other.operation = OPERATION_COUNT;
    metrics->other.model = mem_strdup("other");
    metrics->other.route = mem_strdup("other");
    return metrics;
}

static void series_fini(struct series *series)
{
    for (int i = 0; i < OUTCOME_COUNT; i++)
        free(atomic_load_explicit(&series->times[i], memory_order_relaxed));
    free(series->model);
    free(series->route);
}

void shard_metrics_free(struct shard_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < SERIES_SLOTS; i++) {
        struct series *series = atomic_load_explicit(&metrics->slots[i], memory_order_relaxed);
        if (series)
            series_fini(series);
        free(series);
    }
    series_fini(&metrics->other);
    free(metrics);
}
