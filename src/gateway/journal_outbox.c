/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard has of the journal. */
#include "gateway/journal_priv.h"

struct journal_outbox {
    struct journal *journal;
    struct record_chunk *chunk; /* NULL: nothing is in it */
    struct timer timer;         /* armed while something is */
};

static void on_timer(struct timer *timer, void *ctx)
{
    journal_outbox_flush(ctx);
}

struct journal_outbox *journal_outbox_new(struct journal *journal, struct loop *loop)
{
    struct journal_outbox *outbox = mem_alloc(sizeof *outbox);
    outbox->journal = journal;
    timer_init(&outbox->timer, loop, on_timer, outbox);
    return outbox;
}

void journal_add(struct journal_outbox *outbox, const struct usage_record *record)
{
    if (!outbox->chunk) {
        outbox->chunk = record_chunk_new();
        timer_start(&outbox->timer, JOURNAL_OUTBOX_MS);
    }
    record_chunk_add(outbox->chunk, record);
    if (outbox->chunk->packed.len >= JOURNAL_OUTBOX_BYTES)
        journal_outbox_flush(outbox);
}

void journal_outbox_flush(struct journal_outbox *outbox)
{
    struct journal *journal = outbox->journal;
    timer_stop(&outbox->timer);
    if (outbox->chunk && record_queue_push(&journal->queue, TAKE(outbox->chunk)))
        loop_post(journal->loop, journal_thread_take, journal);
}

void journal_outbox_free(struct journal_outbox *outbox)
{
    if (!outbox)
        return;
    journal_outbox_flush(outbox);
    free(outbox);
}
