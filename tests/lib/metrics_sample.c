/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a page of /metrics with two shards and awkward names, for a test with a parser. */
#include "gateway/metrics.h"

#include <stdio.h>

static void note(struct shard_metrics *metrics, const char *model, unsigned status,
                 enum outcome outcome)
{
    struct usage_record record = {.model_id = 2, .operation = OPERATION_CHAT, .status = status,
                                  .outcome = outcome, .is_stream = true, .prompt_tokens = 100,
                                  .cached_tokens = 60, .completion_tokens = 11,
                                  .first_byte_us = 200000, .total_us = 1350000, .queue_us = 500,
                                  .attempts = 2};
    snprintf(record.model, sizeof record.model, "%s", model);
    snprintf(record.route, sizeof record.route, "%s", model);
    record.is_aborted = outcome == OUTCOME_ABORTED;
    record.phase = PHASE_STREAMING;
    metrics_note(metrics, &record, (struct token_times){250000, 1250000});
}

int main(void)
{
    struct shard_metrics *shards[] = {shard_metrics_new(), shard_metrics_new()};
    struct process_stats process;
    struct buf page = {0};
    if (process_stats_read(&process, NULL) < 0)
        return 1;
    note(shards[0], "hello", 200, OUTCOME_OK);
    note(shards[1], "hello", 200, OUTCOME_OK);
    note(shards[1], "hello", 0, OUTCOME_ABORTED);
    note(shards[0], "a \"quoted\" \\ name\nof two lines", 429, OUTCOME_LIMITED);
    for (unsigned status = 400; status < 420; status++)
        note(shards[0], "refused", status, OUTCOME_CLIENT_ERROR);
    metrics_observe(shards[0], METRICS_ADDED_REQUEST, 17);
    metrics_observe(shards[1], METRICS_ADDED_REQUEST, 1000000);
    metrics_add(shards[1], METRICS_ENGINE_REUSED, 3);
    metrics_add(shards[0], METRICS_ENGINE_NEW, 1);
    metrics_move(shards[0], METRICS_IN_FLIGHT, 2);
    const struct metrics_instance instances[] = {{"hello", "hello-a1b2c", BREAKER_OPEN, 4}};
    const struct metrics_view view = {
        .shards = (const struct shard_metrics *const *)shards, .shard_count = 2,
        .instances = instances, .instance_count = 1, .snapshot_seq = 42, .snapshot_age_ms = 1500,
        .journal_unsent = 7, .access_log_dropped = 5, .process = &process};
    metrics_write(&view, &page);
    fwrite(page.ptr, 1, page.len, stdout);
    buf_fini(&page);
    shard_metrics_free(shards[0]);
    shard_metrics_free(shards[1]);
    return 0;
}
