/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's bookkeeping costs a request, in ns of CPU: the best of many rounds. */
#include "gateway/limit_headers.h"
#include "gateway/metrics.h"

#include <stdio.h>
#include <time.h>

enum { ROUNDS = 300, TIMES = 2000 };

struct bench {
    struct limits limits[LIMIT_KINDS];
    struct limit_subject subjects[LIMIT_KINDS];
    struct shard_metrics *metrics;
    struct breaker breaker;
    struct usage_record record;
    int64_t now_us;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void reserve_and_settle(struct bench *b)
{
    struct reservation r;
    struct limit_denial denial;
    b->now_us += 100;
    if (!limit_reserve(&r, b->subjects, LIMIT_KINDS, 1000, b->now_us, 1795435200000, &denial))
        abort();
    limit_settle(&r, 300, b->now_us + 1);
}

static void write_headers(struct bench *b)
{
    struct limit_headers headers;
    headers.count = 0;
    headers.used = 0;
    limit_headers_add(&headers, b->subjects, LIMIT_KINDS, LIMIT_HEADERS_OPENAI, b->now_us,
                      1795435200000);
}

static void note_metrics(struct bench *b)
{
    metrics_note(b->metrics, &b->record, (struct token_times){250000, 1250000});
}

static void pass_breaker(struct bench *b)
{
    uint64_t probe;
    breaker_may_pass(&b->breaker, b->now_us / 1000, &probe);
    breaker_success(&b->breaker, probe, b->now_us / 1000);
}

static void measure(struct bench *b, const char *name, void (*one)(struct bench *))
{
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = now_ns();
        for (int i = 0; i < TIMES; i++)
            one(b);
        int64_t took = now_ns() - begin;
        best = took < best ? took : best;
    }
    printf("%-40s %6.1f ns\n", name, (double)best / TIMES);
}

static void set_up(struct bench *b)
{
    *b = (struct bench){.now_us = 5000000000};
    for (int i = 0; i < LIMIT_KINDS; i++) {
        b->limits[i] = (struct limits){LIMITS_COUNT_MAX, LIMITS_COUNT_MAX, LIMITS_COUNT_MAX,
                                       BUDGET_TOKENS_MAX, BUDGET_MONTH};
        b->subjects[i] =
            (struct limit_subject){(enum limit_kind)i, &b->limits[i], limit_state_new()};
        budget_use(&b->subjects[i].state->budget, BUDGET_MONTH);
    }
    b->record = (struct usage_record){.model_id = 2, .operation = OPERATION_CHAT, .status = 200,
                                      .is_stream = true, .prompt_tokens = 100,
                                      .completion_tokens = 200, .first_byte_us = 250000,
                                      .total_us = 2250000, .attempts = 1};
    snprintf(b->record.request_id, sizeof b->record.request_id, "req_0123456789abcdef01234567");
    snprintf(b->record.model, sizeof b->record.model, "meta-llama/Llama-3.1-8B-Instruct");
    snprintf(b->record.route, sizeof b->record.route, "meta-llama/Llama-3.1-8B-Instruct");
    b->metrics = shard_metrics_new();
}

int main(void)
{
    static struct bench b;
    set_up(&b);
    measure(&b, "limit_reserve + limit_settle, 3 subjects", reserve_and_settle);
    measure(&b, "limit_headers_add", write_headers);
    measure(&b, "metrics_note", note_metrics);
    measure(&b, "breaker_may_pass + breaker_success", pass_breaker);
    for (int i = 0; i < LIMIT_KINDS; i++)
        limit_state_unref(b.subjects[i].state);
    shard_metrics_free(b.metrics);
    return 0;
}
