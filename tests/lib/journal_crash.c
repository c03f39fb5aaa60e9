/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof that the journal loses nothing that was durable and gives no number twice, over kills.
 *
 *     journal_crash write DIR RUN SEED
 *         adds records "RUN-1", "RUN-2", ... without end; meant to be killed. Prints "durable N"
 *         when RUN-1 to RUN-N are, and each batch that it plays sending, before it says applied
 *     journal_crash drain DIR
 *         prints all batches that are left
 */
#include "base/num.h"
#include "gateway/journal.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>

enum { ADDED_MAX = 200, SEND_EVERY = 3 };

struct writer {
    struct loop *loop;
    struct journal *journal;
    struct journal_outbox *outbox;
    const char *run;
    uint32_t random;
    uint64_t added, sent;
};

static uint32_t draw(struct writer *writer, uint32_t below)
{
    writer->random = writer->random * 1664525 + 1013904223;
    return (writer->random >> 8) % below;
}

static void add_some(struct writer *writer)
{
    for (uint32_t n = 1 + draw(writer, ADDED_MAX); n > 0; n--) {
        struct usage_record record = {.model = "hello", .route = "hello", .attempts = 1};
        snprintf(record.request_id, sizeof record.request_id, "%s-%" PRIu64, writer->run,
                 ++writer->added);
        journal_add(writer->outbox, &record);
    }
    journal_outbox_flush(writer->outbox);
    journal_flush(writer->journal);
    journal_fetch(writer->journal, writer->sent, JOURNAL_BATCH_MAX);
}

static void play_sending(struct writer *writer, const struct journal_batch *batch)
{
    dprintf(STDOUT_FILENO, "%s\n", batch->body.ptr);
    writer->sent = batch->last;
    journal_applied(writer->journal, batch->last);
}

/* Comes behind the flush that was asked for before it. */
static void on_written(struct journal_batch *batch, void *ctx)
{
    struct writer *writer = ctx;
    if (batch->error < 0)
        errx(1, "the journal can't be read");
    dprintf(STDOUT_FILENO, "durable %" PRIu64 "\n", writer->added);
    if (batch->count && draw(writer, SEND_EVERY) == 0)
        play_sending(writer, batch);
    journal_batch_free(batch);
    add_some(writer);
}

static void on_left(struct journal_batch *batch, void *ctx)
{
    struct writer *writer = ctx;
    if (batch->count) {
        play_sending(writer, batch);
        journal_fetch(writer->journal, writer->sent, JOURNAL_BATCH_MAX);
    } else {
        loop_stop(writer->loop);
    }
    journal_batch_free(batch);
}

static void on_durable(void *ctx)
{
}

static void open_journal(struct writer *writer, const char *dir)
{
    struct err err = {0};
    writer->loop = loop_new(&clock_system);
    const struct journal_params params = {.loop = writer->loop, .data_dir = dir};
    if (journal_open(&params, &writer->journal, &err) < 0 ||
        journal_start(writer->journal, &err) < 0)
        errx(1, "%s", err.text);
    writer->sent = journal_applied_at_start(writer->journal);
    writer->outbox = journal_outbox_new(writer->journal, writer->loop);
}

static void write_forever(const char *dir, const char *run, uint32_t seed)
{
    static const struct journal_reader_ops ops = {.on_durable = on_durable, .on_batch = on_written};
    struct writer writer = {.run = run, .random = seed};
    open_journal(&writer, dir);
    journal_set_reader(writer.journal, &ops, &writer);
    add_some(&writer);
    loop_run(writer.loop);
}

static void drain(const char *dir)
{
    static const struct journal_reader_ops ops = {.on_durable = on_durable, .on_batch = on_left};
    struct writer writer = {0};
    open_journal(&writer, dir);
    journal_set_reader(writer.journal, &ops, &writer);
    journal_fetch(writer.journal, writer.sent, JOURNAL_BATCH_MAX);
    loop_run(writer.loop);
    journal_outbox_free(writer.outbox);
    journal_free(writer.journal);
    loop_free(writer.loop);
}

int main(int argc, char **argv)
{
    int64_t seed;
    if (argc == 5 && strcmp(argv[1], "write") == 0 &&
        num_parse_i64(str_of(argv[4]), 0, UINT32_MAX, &seed) == 0)
        write_forever(argv[2], argv[3], (uint32_t)seed);
    else if (argc == 3 && strcmp(argv[1], "drain") == 0)
        drain(argv[2]);
    else
        errx(2, "usage: journal_crash write DIR RUN SEED | drain DIR");
    return 0;
}
