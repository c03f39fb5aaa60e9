/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct usage_record record_of(const char *model, const char *route, int64_t model_id)
{
    struct usage_record record = {.model_id = model_id, .operation = OPERATION_CHAT,
                                  .status = 200, .prompt_tokens = 10, .completion_tokens = 3,
                                  .first_byte_us = 1000, .total_us = 21000, .attempts = 1,
                                  .is_stream = true};
    snprintf(record.model, sizeof record.model, "%s", model);
    snprintf(record.route, sizeof record.route, "%s", route);
    return record;
}

static void write_page(const struct shard_metrics *const *shards, size_t count, struct buf *out)
{
    const struct metrics_view view = {.shards = shards, .shard_count = count, .snapshot_seq = -1};
    buf_clear(out);
    metrics_write(&view, out);
}

static void expect_line(const struct buf *page, const char *line)
{
    auto_free char *whole = mem_printf("\n%s\n", line);
    if (!strstr(page->ptr, whole))
        fail_msg("no line '%s' in:\n%s", line, page->ptr);
}

#define KIND(model, route) "{model=\"" model "\",route=\"" route "\",operation=\"chat\","

static const struct token_times times = {1000, 21000};
static const struct token_times no_times;

static void test_what_a_record_counts(void **state)
{
    struct shard_metrics *metrics = shard_metrics_new();
    struct buf page = {0};
    struct usage_record record = record_of("hello", "gpt", 2);
    metrics_note(metrics, &record, times);
    metrics_note(metrics, &record, (struct token_times){1001, 21001});
    record.outcome = OUTCOME_ABORTED;
    record.status = 0;
    record.is_aborted = true;
    record.phase = PHASE_QUEUED;
    record.queue_us = 5000;
    record.completion_tokens = -5; /* nonsense doesn't make a counter fall */
    metrics_note(metrics, &record, no_times);
    write_page((const struct shard_metrics *const *)&metrics, 1, &page);
    expect_line(&page, "gpustack_gateway_requests_total" KIND("hello", "gpt")
                       "code=\"200\",outcome=\"ok\"} 2");
    expect_line(&page, "gpustack_gateway_requests_total" KIND("hello", "gpt")
                       "code=\"none\",outcome=\"aborted\"} 1");
    expect_line(&page, "gpustack_gateway_tokens_total" KIND("hello", "gpt") "kind=\"input\"} 30");
    expect_line(&page, "gpustack_gateway_tokens_total" KIND("hello", "gpt") "kind=\"output\"} 6");
    expect_line(&page, "gpustack_gateway_time_to_first_token_seconds_bucket" KIND("hello", "gpt")
                       "outcome=\"ok\",le=\"0.001\"} 1");
    expect_line(&page, "gpustack_gateway_time_to_first_token_seconds_bucket" KIND("hello", "gpt")
                       "outcome=\"ok\",le=\"0.005\"} 2");
    expect_line(&page, "gpustack_gateway_time_per_output_token_seconds_count" KIND("hello", "gpt")
                       "outcome=\"ok\"} 2");
    expect_line(&page, "gpustack_gateway_request_duration_seconds_sum" KIND("hello", "gpt")
                       "outcome=\"aborted\"} 0.021");
    expect_line(&page, "gpustack_gateway_aborted_total{phase=\"queued\"} 1");
    expect_line(&page, "gpustack_gateway_attempts_total 3");
    expect_line(&page, "gpustack_gateway_queue_wait_seconds_bucket{le=\"0.005\"} 1");
    expect_line(&page, "gpustack_gateway_queue_wait_seconds_count 1");
    assert_null(strstr(page.ptr, "time_to_first_token_seconds_count" KIND("hello", "gpt")
                                 "outcome=\"aborted\""));
    assert_null(strstr(page.ptr, "snapshot_seq"));
    buf_fini(&page);
    shard_metrics_free(metrics);
}

/* Only tokens that passed in a stream have times: a response in one piece has none of its own. */
static void test_times_of_tokens(void **state)
{
    struct shard_metrics *metrics = shard_metrics_new();
    struct buf page = {0};
    struct usage_record record = record_of("hello", "gpt", 2);
    record.first_byte_us = 900; /* of a sign of life */
    record.total_us = 90000;
    metrics_note(metrics, &record, times);
    metrics_note(metrics, &record, (struct token_times){3000, 3000}); /* all at once */
    record.completion_tokens = 1;
    metrics_note(metrics, &record, (struct token_times){5000, 7000});
    metrics_note(metrics, &record, no_times);
    record.is_stream = false;
    metrics_note(metrics, &record, no_times);
    write_page((const struct shard_metrics *const *)&metrics, 1, &page);
    expect_line(&page, "gpustack_gateway_request_duration_seconds_count" KIND("hello", "gpt")
                       "outcome=\"ok\"} 5");
    expect_line(&page, "gpustack_gateway_time_to_first_token_seconds_count" KIND("hello", "gpt")
                       "outcome=\"ok\"} 3");
    expect_line(&page, "gpustack_gateway_time_to_first_token_seconds_sum" KIND("hello", "gpt")
                       "outcome=\"ok\"} 0.009");
    expect_line(&page, "gpustack_gateway_time_per_output_token_seconds_count" KIND("hello", "gpt")
                       "outcome=\"ok\"} 1");
    expect_line(&page, "gpustack_gateway_time_per_output_token_seconds_sum" KIND("hello", "gpt")
                       "outcome=\"ok\"} 0.01");
    buf_fini(&page);
    shard_metrics_free(metrics);
}

/* Same id, or same begin of the route, and yet of another kind. */
static void test_kinds_are_told_apart(void **state)
{
    struct shard_metrics *metrics = shard_metrics_new();
    struct buf page = {0};
    static const char *const names[][2] = {{"hello", "hello"}, {"hello", "hello-longer"},
                                           {"hello", "hello-longest"}, {"renamed", "hello"},
                                           {"", ""}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct usage_record record = record_of(names[i][0], names[i][1], 2);
        for (size_t n = 0; n <= i; n++)
            metrics_note(metrics, &record, times);
    }
    struct usage_record other = record_of("hello", "hello", 2);
    other.operation = OPERATION_EMBEDDINGS;
    metrics_note(metrics, &other, times);
    write_page((const struct shard_metrics *const *)&metrics, 1, &page);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *line =
            mem_printf("gpustack_gateway_requests_total{model=\"%s\",route=\"%s\","
                       "operation=\"chat\",code=\"200\",outcome=\"ok\"} %zu",
                       names[i][0], names[i][1], i + 1);
        expect_line(&page, line);
    }
    buf_fini(&page);
    shard_metrics_free(metrics);
}

static void test_bounded(void **state)
{
    struct shard_metrics *metrics = shard_metrics_new();
    struct buf page = {0};
    for (int i = 0; i < METRICS_SERIES_MAX + 7; i++) {
        char name[32];
        snprintf(name, sizeof name, "model-%d", i);
        struct usage_record record = record_of(name, name, i);
        metrics_note(metrics, &record, times);
    }
    struct usage_record first = record_of("model-0", "model-0", 0);
    for (unsigned status = 400; status < 430; status++) {
        first.status = status;
        first.outcome = OUTCOME_CLIENT_ERROR;
        metrics_note(metrics, &first, times);
    }
    write_page((const struct shard_metrics *const *)&metrics, 1, &page);
    expect_line(&page, "gpustack_gateway_requests_total{model=\"other\",route=\"other\","
                       "operation=\"other\",code=\"200\",outcome=\"ok\"} 7");
    expect_line(&page, "gpustack_gateway_requests_total" KIND("model-0", "model-0")
                       "code=\"413\",outcome=\"client_error\"} 1");
    expect_line(&page, "gpustack_gateway_requests_total" KIND("model-0", "model-0")
                       "code=\"other\",outcome=\"other\"} 16");
    buf_fini(&page);
    shard_metrics_free(metrics);
}

static void note_statuses(struct shard_metrics *metrics, int64_t model_id, unsigned first,
                          enum outcome outcome)
{
    struct usage_record record = record_of("hello", "gpt", model_id);
    record.outcome = outcome;
    for (record.status = first; record.status < first + 20; record.status++)
        metrics_note(metrics, &record, times);
}

/* A model that is made again has another id, but the labels that it had: each line comes once. */
static void test_labels_come_once(void **state)
{
    struct shard_metrics *shards[] = {shard_metrics_new(), shard_metrics_new()};
    struct buf page = {0};
    static const char rest[] = "code=\"other\",outcome=\"other\"} ";
    for (int64_t id = 2; id < 12; id++)
        note_statuses(shards[0], id, 400 + 20 * (unsigned)id, OUTCOME_CLIENT_ERROR);
    note_statuses(shards[1], 2, 400, OUTCOME_ENGINE_ERROR);
    write_page((const struct shard_metrics *const *)shards, 2, &page);
    expect_line(&page, "gpustack_gateway_requests_total" KIND("hello", "gpt")
                       "code=\"634\",outcome=\"client_error\"} 1");
    expect_line(&page, "gpustack_gateway_requests_total" KIND("hello", "gpt")
                       "code=\"other\",outcome=\"other\"} 55");
    char *first = strstr(page.ptr, rest);
    assert_non_null(first);
    assert_null(strstr(first + 1, rest));
    buf_fini(&page);
    shard_metrics_free(shards[0]);
    shard_metrics_free(shards[1]);
}

static void test_gauges_and_histograms(void **state)
{
    struct shard_metrics *shards[] = {shard_metrics_new(), shard_metrics_new()};
    struct buf page = {0};
    metrics_move(shards[0], METRICS_QUEUED, 3);
    metrics_move(shards[0], METRICS_QUEUED, -1);
    metrics_move(shards[1], METRICS_QUEUED, 5);
    metrics_add(shards[1], METRICS_RETRY_STATUS, 4);
    for (int64_t us = -1; us <= 6; us++)
        metrics_observe(shards[us & 1], METRICS_ADDED_EVENT, us);
    metrics_observe(shards[0], METRICS_ADDED_EVENT, INT64_C(1) << 50);
    write_page((const struct shard_metrics *const *)shards, 2, &page);
    expect_line(&page, "gpustack_gateway_queue_depth 7");
    expect_line(&page, "gpustack_gateway_retries_total{reason=\"status\"} 4");
    expect_line(&page, "gpustack_gateway_added_seconds_bucket{stage=\"event\",le=\"0.000005\"} 7");
    expect_line(&page, "gpustack_gateway_added_seconds_bucket{stage=\"event\",le=\"0.00001\"} 8");
    expect_line(&page, "gpustack_gateway_added_seconds_bucket{stage=\"event\",le=\"+Inf\"} 9");
    expect_line(&page, "gpustack_gateway_added_seconds_count{stage=\"event\"} 9");
    buf_fini(&page);
    shard_metrics_free(shards[0]);
    shard_metrics_free(shards[1]);
    shard_metrics_free(NULL);
}

static void test_process_stats(void **state)
{
    struct process_stats stats;
    struct err err = {0};
    assert_int_equal(process_stats_read(&stats, &err), 0);
    assert_true(stats.resident_bytes > 100000 && stats.virtual_bytes > stats.resident_bytes);
    assert_in_range(stats.open_fds, 3, stats.max_fds);
    assert_true(stats.start_ms > INT64_C(1500000000000));
}

/* ---- a page is written while shards count ---- */

enum { NOTES = 20000, KINDS = 50 };

static void *note_many(void *arg)
{
    for (int i = 0; i < NOTES; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i % KINDS);
        struct usage_record record = record_of(name, name, i % KINDS);
        record.outcome = (enum outcome)(i % OUTCOME_COUNT);
        metrics_note(arg, &record, times);
    }
    return NULL;
}

static void test_pages_meanwhile(void **state)
{
    struct shard_metrics *shards[] = {shard_metrics_new(), shard_metrics_new()};
    struct buf page = {0};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, shards[i]), 0);
    for (int i = 0; i < 10; i++)
        write_page((const struct shard_metrics *const *)shards, 2, &page);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    write_page((const struct shard_metrics *const *)shards, 2, &page);
    expect_line(&page, "gpustack_gateway_attempts_total 40000");
    expect_line(&page, "gpustack_gateway_tokens_total" KIND("m7", "m7") "kind=\"input\"} 8000");
    buf_fini(&page);
    shard_metrics_free(shards[0]);
    shard_metrics_free(shards[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_record_counts),
        cmocka_unit_test(test_times_of_tokens),
        cmocka_unit_test(test_kinds_are_told_apart),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_labels_come_once),
        cmocka_unit_test(test_gauges_and_histograms),
        cmocka_unit_test(test_process_stats),
        cmocka_unit_test(test_pages_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
