/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that answers questions about usage, over a connection that only reads. With WAL it
 * waits for no writer and no writer for it. A question that takes too long is given up: it would
 * hold up those behind it, and the WAL would grow.
 */
#include "base/clock.h"
#include "store/store_priv.h"

enum {
    BUSY_MS = 2000,       /* while another process has the whole file */
    PROGRESS_STEPS = 4000, /* of SQLite's machine between looks at the clock */
};

struct reader {
    char *path; /* owned */
    struct loop *loop;
    sqlite3 *db; /* NULL until first used; reader's thread, as `deadline_ms` */
    int64_t deadline_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t changed;
    struct list_node queue; /* struct read_job */
    unsigned waiting;
    _Atomic bool is_closing;
};

static int on_progress(void *ctx)
{
    const struct reader *reader = ctx;
    return reader->is_closing || clock_mono_ms(&clock_system) > reader->deadline_ms;
}

static int open_connection(struct reader *reader, struct err *err)
{
    if (reader->db)
        return 0;
    sqlite3 *db = NULL;
    int rc = 0;
    if (sqlite3_open_v2(reader->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        rc = db_fail(db, err);
    else
        rc = db_exec(db, "PRAGMA query_only=ON; PRAGMA cache_size=-2048; PRAGMA mmap_size=0", err);
    if (rc < 0) {
        sqlite3_close(db);
        return err_wrap(err, rc, "database %s", reader->path);
    }
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_progress_handler(db, PROGRESS_STEPS, on_progress, reader);
    reader->db = db;
    return 0;
}

static int refuse_closed(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "the server is stopping");
}

/* All that one job reads is of the same moment. */
static int run_job(struct reader *reader, struct read_job *job, struct err *err)
{
    reader->deadline_ms = clock_mono_ms(&clock_system) + STORE_READ_MS;
    int rc = open_connection(reader, err);
    if (rc == 0)
        rc = db_exec(reader->db, "BEGIN", err);
    if (rc < 0)
        return rc;
    rc = job->work(reader->db, job, err);
    bool was_cut = sqlite3_errcode(reader->db) == SQLITE_INTERRUPT;
    sqlite3_exec(reader->db, "ROLLBACK", NULL, NULL, NULL);
    if (rc < 0 && was_cut)
        return reader->is_closing
                   ? refuse_closed(err)
                   : err_set(err, ERR_TIMEOUT,
                             "this would take longer than %d s; ask for a shorter time or for "
                             "fewer rows",
                             STORE_READ_MS / 1000);
    return rc;
}

/* On the loop's thread; the reader may be gone by now. */
static void deliver(void *arg)
{
    struct read_job *job = arg;
    job->done(job, job->rc, &job->err);
}

static void finish(struct reader *reader, struct read_job *job, int rc)
{
    job->rc = rc;
    loop_post(reader->loop, deliver, job);
}

/* Waits for a job; NULL when the reader closes. */
static struct read_job *take_job(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    while (list_is_empty(&reader->queue) && !reader->is_closing)
        pthread_cond_wait(&reader->changed, &reader->lock);
    struct read_job *job = LIST_FIRST(&reader->queue, struct read_job, node);
    if (job) {
        list_remove(&job->node);
        reader->waiting--;
    }
    pthread_mutex_unlock(&reader->lock);
    return job;
}

static void *run(void *arg)
{
    struct reader *reader = arg;
    struct read_job *job;
    while ((job = take_job(reader)))
        finish(reader, job,
               reader->is_closing ? refuse_closed(&job->err) : run_job(reader, job, &job->err));
    sqlite3_close(reader->db);
    return NULL;
}

struct reader *reader_start(const char *path, struct loop *loop)
{
    struct reader *reader = mem_alloc(sizeof *reader);
    reader->path = mem_strdup(path);
    reader->loop = loop;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    list_init(&reader->queue);
    reader->thread = start_thread(run, reader);
    return reader;
}

void reader_stop(struct reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->lock);
    reader->is_closing = true;
    pthread_cond_signal(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    free(reader->path);
    free(reader);
}

void reader_add(struct reader *reader, struct read_job *job)
{
    pthread_mutex_lock(&reader->lock);
    bool is_full = reader->waiting >= STORE_READS_MAX;
    if (!is_full) {
        reader->waiting++;
        list_add_tail(&reader->queue, &job->node);
        pthread_cond_signal(&reader->changed);
    }
    pthread_mutex_unlock(&reader->lock);
    if (is_full)
        finish(reader, job,
               err_set(&job->err, ERR_UNAVAILABLE,
                       "%d questions about usage wait already; try again in a moment",
                       STORE_READS_MAX));
}

/* ---- the two questions ---- */

struct report_job {
    struct read_job job; /* first */
    struct usage_query query;
    struct usage_report report;
    store_report_cb *done;
    void *ctx;
};

static int work_report(sqlite3 *db, struct read_job *job, struct err *err)
{
    struct report_job *own = (struct report_job *)job;
    return usage_report_read(db, &own->query, &own->report, err);
}

static void done_report(struct read_job *job, int rc, const struct err *err)
{
    struct report_job *own = (struct report_job *)job;
    own->done(rc, err->text, rc < 0 ? NULL : &own->report, own->ctx);
    usage_report_fini(&own->report);
    usage_query_fini(&own->query);
    free(own);
}

void store_read_usage(struct store *store, struct usage_query *query, store_report_cb *done,
                      void *ctx)
{
    struct report_job *own = mem_alloc(sizeof *own);
    *own = (struct report_job){.job = {.work = work_report, .done = done_report},
                               .query = *query,
                               .done = done,
                               .ctx = ctx};
    *query = (struct usage_query){0};
    reader_add(store->reader, &own->job);
}

struct records_job {
    struct read_job job; /* first */
    struct usage_records_query query;
    struct usage_records records;
    store_records_cb *done;
    void *ctx;
};

static int work_records(sqlite3 *db, struct read_job *job, struct err *err)
{
    struct records_job *own = (struct records_job *)job;
    return usage_records_read(db, &own->query, &own->records, err);
}

static void done_records(struct read_job *job, int rc, const struct err *err)
{
    struct records_job *own = (struct records_job *)job;
    own->done(rc, err->text, rc < 0 ? NULL : &own->records, own->ctx);
    usage_records_fini(&own->records);
    usage_filter_fini(&own->query.filter);
    free(own);
}

void store_read_records(struct store *store, struct usage_records_query *query,
                        store_records_cb *done, void *ctx)
{
    struct records_job *own = mem_alloc(sizeof *own);
    *own = (struct records_job){.job = {.work = work_records, .done = done_records},
                                .query = *query,
                                .done = done,
                                .ctx = ctx};
    *query = (struct usage_records_query){0};
    reader_add(store->reader, &own->job);
}
