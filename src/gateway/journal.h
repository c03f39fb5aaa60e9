/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: usage records to disk, numbered, by a thread of its own, and from there to whoever
 * sends them to control (usage_send.h). Its files are told in journal_home.h and segments.h.
 *
 * Shards put records into an outbox each, which costs a copy; numbers, JSON and the disk are the
 * thread's. A record is in a file 100 ms after journal_add() and durable within about a second:
 * what kill -9 takes with it is no older. Only what is durable is sent, so that a number that
 * control has seen is never given to another record.
 *
 * While the disk refuses, records wait in memory up to a limit; segments on the disk have a limit
 * too. Above either the oldest records are given up and counted.
 *
 *     journal_open(&params, &journal, &err); journal_start(journal, &err);
 *     outbox = journal_outbox_new(journal, shard_loop);
 *     journal_add(outbox, &record);
 */
#pragma once

#include "gateway/disk_ops.h"
#include "gateway/record.h"
#include "io/loop.h"

enum {
    JOURNAL_OUTBOX_MS = 100,          /* records stay in an outbox for at most so long */
    JOURNAL_OUTBOX_BYTES = 64 << 10,  /* and at most so much of them */
    JOURNAL_SYNC_MS = 1000,           /* between two fdatasync(2), but for full segments */
    JOURNAL_RETRY_MS = 1000,          /* after a failure of the disk */
    JOURNAL_MEMORY_MAX = 64 << 20,    /* bytes of records that wait for the disk */
    JOURNAL_DISK_MAX = 1 << 30,       /* bytes of segments, unless params say otherwise */
    JOURNAL_BATCH_MAX = 1000,         /* records in a batch */
    JOURNAL_BATCH_BYTES = 1000 << 10, /* of its body; control takes 1 MiB */
};

struct journal;
struct journal_outbox;

struct journal_params {
    struct loop *loop;          /* of the main thread; its clock is used everywhere */
    const char *data_dir;       /* copied */
    uint64_t disk_max_bytes;    /* 0: JOURNAL_DISK_MAX */
    size_t memory_max_bytes;    /* 0: JOURNAL_MEMORY_MAX */
    const struct disk_ops *ops; /* NULL: the machine's */
    /*
     * Records have got their numbers, in the order of these; those without tokens are left out. On
     * the main thread, before they can be fetched. Optional.
     */
    void (*on_numbered)(const struct usage_spent *spent, size_t count, void *ctx);
    void *ctx;
};

/* Records in a row, for control. */
struct journal_batch {
    uint64_t last;      /* number of the last record */
    unsigned count;     /* 0: there are none */
    int64_t started_ms; /* of the oldest record, wall time */
    int error;          /* 0, or why the journal couldn't be read; then count is 0 */
    struct buf body;    /* {"gateway":UUID,"records":[...]} */
};

/* What the one who sends the records is told, on the main thread. */
struct journal_reader_ops {
    /* There are more records than before. */
    void (*on_durable)(void *ctx);
    /* Answer to journal_fetch(); takes the batch. */
    void (*on_batch)(struct journal_batch *batch, void *ctx);
};

/* A moment's numbers, for /metrics. */
struct journal_stats {
    uint64_t unsent;       /* records that control doesn't have yet */
    uint64_t dropped;      /* records that were given up since the start */
    uint64_t rejected;     /* records that control didn't take since the start */
    uint64_t disk_errors;  /* writes and syncs that failed since the start */
    uint64_t memory_bytes; /* of records that wait for the disk */
    uint64_t disk_bytes;   /* of segments */
};

/* ---- main thread ---- */

/*
 * Takes the folder and finds what is in it; blocks on the disk. ERR_CONFLICT names the pid of
 * another gateway that has it. Returns owned.
 */
int journal_open(const struct journal_params *params, struct journal **ret,
                 struct err *err) must_check;

/*
 * Before journal_start(): gives out each record that control isn't known to have, oldest first;
 * for counts that go on over a restart. Some of them control may have all the same. -errno.
 */
int journal_replay(struct journal *journal,
                   void (*take)(const struct usage_record *record, void *ctx), void *ctx,
                   struct err *err) must_check;

/* Starts the thread. -EAGAIN when there are no more threads. */
int journal_start(struct journal *journal, struct err *err) must_check;

/*
 * Writes what is left, stops the thread and waits for it, lets the folder go. The outboxes were
 * freed before; its loop still lives. NULL is fine.
 */
void journal_free(struct journal *journal);

/* The name by which control knows the journal. Any thread. */
const char *journal_uuid(const struct journal *journal);

/* Number of the last record that control was known to have at the start. */
uint64_t journal_applied_at_start(const struct journal *journal);

/* Who is told; NULL ends that. */
void journal_set_reader(struct journal *journal, const struct journal_reader_ops *ops, void *ctx);

/* Asks for at most `max` records with numbers above `after`. One at a time. */
void journal_fetch(struct journal *journal, uint64_t after, unsigned max);

/* Control has all up to `seq`. */
void journal_applied(struct journal *journal, uint64_t seq);

/* Control refuses the batch, which has one record: it is put aside. Takes the batch. */
void journal_reject(struct journal *journal, struct journal_batch *batch, const char *answer);

/* What was handed over is made durable at once, before what is asked for after this. */
void journal_flush(struct journal *journal);

/* NULL is fine. */
void journal_batch_free(struct journal_batch *batch);

/* ---- any thread ---- */

/* The numbers of this moment; the parts of a sum may be a few records apart. */
void journal_measure(struct journal *journal, struct journal_stats *ret);

/* ---- a shard's thread ---- */

/* For the thread of `loop`. Returns owned. */
struct journal_outbox *journal_outbox_new(struct journal *journal, struct loop *loop);

/* Queues a copy of the record (`seq` is not looked at). Never blocks on a disk. */
void journal_add(struct journal_outbox *outbox, const struct usage_record *record);

/* Hands over now what is in it. */
void journal_outbox_flush(struct journal_outbox *outbox);

/* Hands over what is left; also on another thread when the loop doesn't run. NULL is fine. */
void journal_outbox_free(struct journal_outbox *outbox);
