/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct journal: journal.c is the main thread's side, journal_thread.c the other. */
#pragma once

#include "gateway/journal.h"
#include "gateway/journal_home.h"
#include "gateway/record_queue.h"
#include "gateway/segments.h"

#include <pthread.h>
#include <stdatomic.h>

struct journal {
    /* set before the thread starts */
    struct loop *main_loop;
    struct loop *loop; /* the thread's */
    struct journal_home home;
    uint64_t disk_max_bytes;
    uint64_t applied_at_start;
    void (*on_numbered)(const struct usage_spent *spent, size_t count, void *ctx); /* or NULL */
    void *numbered_ctx;
    pthread_t thread;
    bool is_running;

    struct record_queue queue; /* all threads' */

    /* main thread's */
    const struct journal_reader_ops *reader; /* NULL: none */
    void *reader_ctx;
    bool is_closed; /* mail that is still under way means nothing */

    /* the thread's */
    struct segments segments;
    struct buf lines;         /* numbered, not durable yet */
    uint64_t lines_first;     /* number of the first one in them, or of the next one */
    size_t written;           /* bytes of `lines` that are in the file */
    uint64_t unwritten_first; /* number of the first record behind them */
    struct timer sync_timer;  /* armed: something was written since the last sync */
    struct timer retry_timer; /* armed: the disk refused */
    int64_t synced_ms;        /* loop time of the last sync */
    int64_t applied_ms;       /* loop time at which the file `applied` was written last */
    bool has_write_trouble;   /* the present one was logged; so the others: */
    bool has_read_trouble;
    bool is_dropping;

    /* changed by the thread, read by all; relaxed */
    atomic_uint_fast64_t last_seq;  /* the last number that was given */
    atomic_uint_fast64_t floor_seq; /* up to here control has the records or they were given up */
    atomic_uint_fast64_t dropped;   /* with their segments */
    atomic_uint_fast64_t rejected;
    atomic_uint_fast64_t disk_errors;
    atomic_uint_fast64_t disk_bytes;
};

/* Main thread: the body of the thread, and how it is told to end. */
void *journal_thread_run(void *journal);
void journal_thread_stop(void *journal);

/* Any thread, by mail to the journal's loop: the queue isn't empty any more. */
void journal_thread_take(void *journal);

/* By mail: journal_flush(). */
void journal_thread_flush(void *journal);

/* What is asked of the thread; freed by it. */
struct journal_order {
    struct journal *journal;
    uint64_t seq;
    unsigned max;                /* fetch */
    struct journal_batch *batch; /* reject; owned, as the next */
    char *answer;                /* reject */
};

/* By mail: journal_fetch(), journal_applied(), journal_reject(). Each takes its order. */
void journal_thread_fetch(void *order);
void journal_thread_applied(void *order);
void journal_thread_reject(void *order);

/* By mail to the main loop: a reply to a fetch, which is an order with a batch; durable news. */
void journal_give_batch(void *order);
void journal_tell_durable(void *journal);

/* By mail to the main loop: what records with numbers have spent. Freed by it. */
struct journal_numbered {
    struct journal *journal;
    size_t count;
    struct usage_spent spent[];
};
void journal_tell_numbered(void *numbered);

/* For timers of the thread; ctx is the journal. */
void journal_on_sync_timer(struct timer *timer, void *ctx);
void journal_on_retry_timer(struct timer *timer, void *ctx);
