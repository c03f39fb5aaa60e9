/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's thread: numbers records, writes them, reads them back, forgets them. */
#include "base/log.h"
#include "gateway/journal_line.h"
#include "gateway/journal_priv.h"

enum {
    APPLIED_MS = 10000,   /* how old the file `applied` may get without a segment's end */
    LINES_KEPT = 1 << 20, /* memory of that many bytes is kept for the next lines */
};

static uint64_t get(const atomic_uint_fast64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void set(atomic_uint_fast64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

/* ---- writing ---- */

/* All that isn't durable has to be written again, to a new file. */
static void fail(struct journal *journal, const struct err *err)
{
    journal->written = 0;
    journal->unwritten_first = journal->lines_first;
    set(&journal->disk_errors, get(&journal->disk_errors) + 1);
    timer_stop(&journal->sync_timer);
    timer_start(&journal->retry_timer, JOURNAL_RETRY_MS);
    if (journal->has_write_trouble)
        return;
    journal->has_write_trouble = true;
    log_error("usage", "%s; records wait in memory", err->text);
}

/* More on the disk than there may be: the oldest go, sent or not. */
static void keep_disk_limit(struct journal *journal)
{
    uint64_t last;
    while (segments_bytes(&journal->segments) > journal->disk_max_bytes &&
           (last = segments_drop_oldest(&journal->segments)) > 0) {
        uint64_t floor_seq = get(&journal->floor_seq);
        if (last <= floor_seq)
            continue;
        set(&journal->dropped, get(&journal->dropped) + last - floor_seq);
        set(&journal->floor_seq, last);
        if (!journal->is_dropping)
            log_error("usage", "%s has reached %llu bytes; the oldest records are given up unsent",
                      journal->home.usage_dir, (unsigned long long)journal->disk_max_bytes);
        journal->is_dropping = true;
    }
    set(&journal->disk_bytes, segments_bytes(&journal->segments));
}

static void note_durable(struct journal *journal)
{
    buf_drop(&journal->lines, journal->written);
    if (journal->lines.len == 0 && journal->lines.cap > LINES_KEPT)
        buf_fini(&journal->lines);
    journal->written = 0;
    journal->lines_first = journal->unwritten_first;
    if (journal->has_write_trouble)
        log_info("usage", "records are written again");
    journal->has_write_trouble = false;
    keep_disk_limit(journal);
    loop_post(journal->main_loop, journal_tell_durable, journal);
}

/* Makes durable what was written. */
static int commit(struct journal *journal)
{
    struct err err = {0};
    timer_stop(&journal->sync_timer);
    journal->synced_ms = loop_now_ms(journal->loop);
    int rc = segments_sync(&journal->segments, &err);
    if (rc < 0)
        fail(journal, &err);
    else
        note_durable(journal);
    return rc;
}

static int write_lines(struct journal *journal)
{
    struct err err = {0};
    int64_t now_ms = loop_now_ms(journal->loop);
    if (segments_is_last_full(&journal->segments, now_ms)) {
        int rc = journal->written ? commit(journal) : 0;
        if (rc < 0)
            return rc;
        segments_close_last(&journal->segments);
    }
    uint64_t last = get(&journal->last_seq);
    int rc =
        segments_append(&journal->segments, str_skip(buf_str(&journal->lines), journal->written),
                        journal->unwritten_first, last, now_ms, &err);
    if (rc < 0) {
        fail(journal, &err);
        return rc;
    }
    journal->written = journal->lines.len;
    journal->unwritten_first = last + 1;
    return 0;
}

/* NULL when nobody wants to know. */
static struct journal_numbered *numbered_new(struct journal *journal, size_t max)
{
    if (!journal->on_numbered)
        return NULL;
    struct journal_numbered *numbered =
        mem_alloc(sizeof *numbered + max * sizeof numbered->spent[0]);
    numbered->journal = journal;
    return numbered;
}

static void numbered_add(struct journal_numbered *numbered, const struct usage_record *record)
{
    struct usage_spent spent = usage_spent_of(record);
    if (numbered && spent.tokens)
        numbered->spent[numbered->count++] = spent;
}

static void numbered_send(struct journal_numbered *numbered)
{
    if (numbered && numbered->count)
        loop_post(numbered->journal->main_loop, journal_tell_numbered, numbered);
    else
        free(numbered);
}

/* Gives the records of a chunk their numbers and makes lines of them. Takes the chunk. */
static void number(struct journal *journal, struct record_chunk *chunk)
{
    struct usage_record record;
    uint64_t seq = get(&journal->last_seq);
    struct journal_numbered *numbered = numbered_new(journal, chunk->count);
    if (journal->lines.len == 0)
        journal->lines_first = journal->unwritten_first = seq + 1;
    for (size_t offset = 0; record_chunk_next(chunk, &offset, &record);) {
        record.seq = ++seq;
        journal_line_write(&record, &journal->lines);
        numbered_add(numbered, &record);
    }
    set(&journal->last_seq, seq);
    record_chunk_free(chunk);
    numbered_send(numbered);
}

/* Writes what there is; it stays in the queue from the first failure on. */
static void take_all(struct journal *journal)
{
    struct record_chunk *chunk;
    do {
        if (journal->written < journal->lines.len && write_lines(journal) < 0)
            return;
        chunk = record_queue_pop(&journal->queue);
        if (chunk)
            number(journal, chunk);
    } while (chunk);
}

static void sync_when_due(struct journal *journal)
{
    int64_t wait_ms = journal->synced_ms + JOURNAL_SYNC_MS - loop_now_ms(journal->loop);
    if (journal->written == 0 || timer_is_armed(&journal->sync_timer))
        return;
    if (wait_ms <= 0)
        (void)commit(journal);
    else
        timer_start(&journal->sync_timer, wait_ms);
}

void journal_thread_take(void *arg)
{
    struct journal *journal = arg;
    if (timer_is_armed(&journal->retry_timer))
        return;
    take_all(journal);
    sync_when_due(journal);
}

void journal_on_sync_timer(struct timer *timer, void *ctx)
{
    (void)commit(ctx);
}

void journal_on_retry_timer(struct timer *timer, void *ctx)
{
    journal_thread_take(ctx);
}

void journal_thread_flush(void *arg)
{
    struct journal *journal = arg;
    timer_stop(&journal->retry_timer);
    take_all(journal);
    if (journal->written)
        (void)commit(journal);
}

/* ---- reading ---- */

struct fetch {
    struct journal_batch *batch;
    unsigned max;
};

/* When the request of the first record began, by which its age is told. */
static int64_t started_ms_of(struct str open_object)
{
    auto_free char *text = mem_printf("%.*s}", STR_ARGS(open_object));
    auto_fini(json_release) json_t *root = NULL;
    return json_read(str_of(text), &root, NULL) == 0 ? json_member_int(root, "started_ms", 0) : 0;
}

static bool add_record(uint64_t seq, struct str open_object, void *ctx)
{
    struct fetch *fetch = ctx;
    struct journal_batch *batch = fetch->batch;
    if (batch->count == fetch->max || batch->body.len + open_object.len + 4 > JOURNAL_BATCH_BYTES)
        return false;
    if (batch->count == 0)
        batch->started_ms = started_ms_of(open_object);
    else
        buf_add_char(&batch->body, ',');
    buf_add_str(&batch->body, open_object);
    buf_add_char(&batch->body, '}');
    batch->last = seq;
    batch->count++;
    return true;
}

/* A file that can't be read is tried again: it may be the network, and the disk limit ends it. */
static void note_read(struct journal *journal, int error, const char *text)
{
    if (error < 0 && !journal->has_read_trouble)
        log_error("usage", "%s; records can't be sent to control", text);
    if (error == 0 && journal->has_read_trouble)
        log_info("usage", "the journal can be read again");
    journal->has_read_trouble = error < 0;
}

void journal_thread_fetch(void *arg)
{
    struct journal_order *order = arg;
    struct journal *journal = order->journal;
    struct journal_batch *batch = mem_alloc(sizeof *batch);
    struct fetch fetch = {.batch = batch, .max = order->max};
    struct err err = {0};
    buf_printf(&batch->body, "{\"gateway\":\"%s\",\"records\":[", journal->home.uuid);
    batch->error = segments_each(&journal->segments, order->seq, add_record, &fetch, &err);
    note_read(journal, batch->error, err.text);
    if (batch->count)
        batch->error = 0; /* what comes before the fault is sent first */
    buf_add_cstr(&batch->body, "]}");
    order->batch = batch;
    loop_post(journal->main_loop, journal_give_batch, order);
}

/* ---- forgetting ---- */

static void write_applied(struct journal *journal)
{
    struct err err = {0};
    journal->applied_ms = loop_now_ms(journal->loop);
    /* Without it control is sent some records again, which it passes over. */
    if (journal_home_write_applied(&journal->home, get(&journal->floor_seq), &err) < 0)
        log_debug("usage", "%s", err.text);
}

/*
 * Control knows numbers of ours that we don't: our folder is an older copy. Records get numbers
 * behind those, or control would take them for old ones.
 */
static void skip_numbers(struct journal *journal, uint64_t seq)
{
    log_warning("usage",
                "control has records of this gateway up to seq=%llu, the journal only up "
                "to %llu; it goes on behind those",
                (unsigned long long)seq, (unsigned long long)get(&journal->last_seq));
    set(&journal->last_seq, seq);
}

static void forget(struct journal *journal, uint64_t seq)
{
    bool is_ahead = seq > get(&journal->last_seq);
    if (is_ahead)
        skip_numbers(journal, seq);
    if (seq <= get(&journal->floor_seq))
        return;
    set(&journal->floor_seq, seq);
    journal->is_dropping = false;
    size_t removed = segments_forget(&journal->segments, seq);
    set(&journal->disk_bytes, segments_bytes(&journal->segments));
    if (removed || is_ahead || loop_now_ms(journal->loop) - journal->applied_ms >= APPLIED_MS)
        write_applied(journal);
}

void journal_thread_applied(void *arg)
{
    struct journal_order *order = arg;
    forget(order->journal, order->seq);
    free(order);
}

void journal_thread_reject(void *arg)
{
    struct journal_order *order = arg;
    struct journal *journal = order->journal;
    struct err err = {0};
    uint64_t seq = order->batch->last;
    int rc = journal_home_reject(&journal->home, buf_str(&order->batch->body), order->answer, &err);
    log_error("usage", "control refuses record seq=%llu: %s; it is put aside in rejected.ndjson",
              (unsigned long long)seq, order->answer);
    if (rc < 0)
        log_error("usage", "record seq=%llu is lost: %s", (unsigned long long)seq, err.text);
    set(&journal->rejected, get(&journal->rejected) + 1);
    forget(journal, seq);
    journal_batch_free(order->batch);
    free(order->answer);
    free(order);
}

/* ---- the thread ---- */

void *journal_thread_run(void *arg)
{
    struct journal *journal = arg;
    loop_run(journal->loop);
    return NULL;
}

void journal_thread_stop(void *arg)
{
    struct journal *journal = arg;
    uint64_t waiting, dropped;
    size_t bytes;
    journal_thread_flush(journal);
    record_queue_measure(&journal->queue, &waiting, &bytes, &dropped);
    uint64_t lost = waiting + get(&journal->last_seq) + 1 - journal->lines_first;
    if (journal->lines.len == 0)
        lost = waiting;
    if (lost)
        log_error("usage", "%llu records couldn't be written and are lost",
                  (unsigned long long)lost);
    write_applied(journal);
    loop_stop(journal->loop);
}
