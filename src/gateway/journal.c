/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/journal.h"

#include "base/log.h"
#include "gateway/journal_priv.h"
#include "gateway/record_read.h"

enum { STACK_BYTES = 256 << 10 };

/* ---- opening ---- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int find_state(struct journal *journal, const struct disk_ops *ops, struct err *err)
{
    uint64_t applied = 0, last = 0;
    int rc = segments_open(&journal->segments, journal->home.usage_dir, ops, &last, err);
    if (rc < 0)
        return rc;
    bool is_known = journal_home_read_applied(&journal->home, &applied);
    bool is_fresh = !is_known && journal->segments.count == 0;
    rc = journal_home_name(&journal->home, is_fresh, err);
    if (rc == 0 && is_fresh)
        rc = journal_home_write_applied(&journal->home, 0, err);
    last = larger(last, applied);
    journal->applied_at_start = applied;
    journal->lines_first = journal->unwritten_first = last + 1;
    if (!is_known && journal->segments.count)
        applied = journal->segments.items[0].first - 1;
    atomic_init(&journal->last_seq, last);
    atomic_init(&journal->floor_seq, applied);
    atomic_init(&journal->disk_bytes, segments_bytes(&journal->segments));
    return rc;
}

static void prepare_thread(struct journal *journal)
{
    journal->loop = loop_new(loop_clock(journal->main_loop));
    timer_init(&journal->sync_timer, journal->loop, journal_on_sync_timer, journal);
    timer_init(&journal->retry_timer, journal->loop, journal_on_retry_timer, journal);
    journal->synced_ms = loop_now_ms(journal->loop) - JOURNAL_SYNC_MS;
    journal->applied_ms = loop_now_ms(journal->loop);
}

int journal_open(const struct journal_params *params, struct journal **ret, struct err *err)
{
    struct journal *journal = mem_alloc(sizeof *journal);
    journal->main_loop = params->loop;
    journal->disk_max_bytes = params->disk_max_bytes ? params->disk_max_bytes : JOURNAL_DISK_MAX;
    journal->on_numbered = params->on_numbered;
    journal->numbered_ctx = params->ctx;
    record_queue_init(&journal->queue,
                      params->memory_max_bytes ? params->memory_max_bytes : JOURNAL_MEMORY_MAX);
    int rc = journal_home_open(&journal->home, params->data_dir, err);
    if (rc == 0)
        rc = find_state(journal, params->ops ? params->ops : &disk_ops_system, err);
    if (rc < 0) {
        journal_free(journal);
        return err_wrap(err, rc, "usage journal");
    }
    prepare_thread(journal);
    *ret = journal;
    return 0;
}

struct replay {
    void (*take)(const struct usage_record *record, void *ctx);
    void *ctx;
};

static bool replay_one(uint64_t seq, struct str open_object, void *ctx)
{
    const struct replay *replay = ctx;
    auto_free char *text = mem_printf("%.*s}", STR_ARGS(open_object));
    auto_fini(json_release) json_t *root = NULL;
    struct usage_record record;
    struct err err = {0};
    if (json_read(str_of(text), &root, &err) == 0 && usage_record_read(root, &record, &err) == 0)
        replay->take(&record, replay->ctx);
    else
        log_warning("usage", "record seq=%llu isn't understood: %s", (unsigned long long)seq,
                    err.text);
    return true;
}

int journal_replay(struct journal *journal,
                   void (*take)(const struct usage_record *record, void *ctx), void *ctx,
                   struct err *err)
{
    struct replay replay = {.take = take, .ctx = ctx};
    return segments_each(&journal->segments, journal->applied_at_start, replay_one, &replay, err);
}

int journal_start(struct journal *journal, struct err *err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int rc = pthread_create(&journal->thread, &attr, journal_thread_run, journal);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        return err_errno(err, rc, "can't start the journal's thread");
    journal->is_running = true;
    return 0;
}

/* Behind the last mail that the thread has sent here. */
static void release(void *arg)
{
    free(arg);
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->is_running) {
        loop_post(journal->loop, journal_thread_stop, journal);
        pthread_join(journal->thread, NULL);
    }
    timer_stop(&journal->sync_timer);
    timer_stop(&journal->retry_timer);
    loop_free(journal->loop);
    segments_fini(&journal->segments);
    record_queue_fini(&journal->queue);
    buf_fini(&journal->lines);
    journal_home_fini(&journal->home);
    journal->is_closed = true;
    loop_post(journal->main_loop, release, journal);
}

const char *journal_uuid(const struct journal *journal)
{
    return journal->home.uuid;
}

uint64_t journal_applied_at_start(const struct journal *journal)
{
    return journal->applied_at_start;
}

/* ---- the reader ---- */

void journal_set_reader(struct journal *journal, const struct journal_reader_ops *ops, void *ctx)
{
    journal->reader = ops;
    journal->reader_ctx = ctx;
}

void journal_tell_durable(void *arg)
{
    struct journal *journal = arg;
    if (!journal->is_closed && journal->reader)
        journal->reader->on_durable(journal->reader_ctx);
}

void journal_tell_numbered(void *arg)
{
    struct journal_numbered *numbered = arg;
    struct journal *journal = numbered->journal;
    if (!journal->is_closed)
        journal->on_numbered(numbered->spent, numbered->count, journal->numbered_ctx);
    free(numbered);
}

void journal_give_batch(void *arg)
{
    struct journal_order *order = arg;
    struct journal *journal = order->journal;
    struct journal_batch *batch = order->batch;
    free(order);
    if (!journal->is_closed && journal->reader)
        journal->reader->on_batch(batch, journal->reader_ctx);
    else
        journal_batch_free(batch);
}

static void send_order(void (*fn)(void *order), struct journal_order order)
{
    struct journal_order *copy = mem_alloc(sizeof *copy);
    *copy = order;
    loop_post(order.journal->loop, fn, copy);
}

void journal_fetch(struct journal *journal, uint64_t after, unsigned max)
{
    send_order(journal_thread_fetch,
               (struct journal_order){.journal = journal, .seq = after, .max = max});
}

void journal_applied(struct journal *journal, uint64_t seq)
{
    send_order(journal_thread_applied, (struct journal_order){.journal = journal, .seq = seq});
}

void journal_reject(struct journal *journal, struct journal_batch *batch, const char *answer)
{
    send_order(
        journal_thread_reject,
        (struct journal_order){.journal = journal, .batch = batch, .answer = mem_strdup(answer)});
}

void journal_flush(struct journal *journal)
{
    loop_post(journal->loop, journal_thread_flush, journal);
}

void journal_batch_free(struct journal_batch *batch)
{
    if (!batch)
        return;
    buf_fini(&batch->body);
    free(batch);
}

/* ---- numbers ---- */

void journal_measure(struct journal *journal, struct journal_stats *ret)
{
    uint64_t waiting, dropped;
    size_t bytes;
    record_queue_measure(&journal->queue, &waiting, &bytes, &dropped);
    uint64_t floor_seq = atomic_load_explicit(&journal->floor_seq, memory_order_relaxed);
    uint64_t last = atomic_load_explicit(&journal->last_seq, memory_order_relaxed);
    *ret = (struct journal_stats){
        .unsent = waiting + (last > floor_seq ? last - floor_seq : 0),
        .dropped = dropped + atomic_load_explicit(&journal->dropped, memory_order_relaxed),
        .rejected = atomic_load_explicit(&journal->rejected, memory_order_relaxed),
        .disk_errors = atomic_load_explicit(&journal->disk_errors, memory_order_relaxed),
        .memory_bytes = bytes,
        .disk_bytes = atomic_load_explicit(&journal->disk_bytes, memory_order_relaxed),
    };
}
