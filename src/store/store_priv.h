/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of store/ share; the seams for tests are at the end. */
#pragma once

#include "base/embed.h"
#include "base/list.h"
#include "store/store.h"
#include "store/usage.h"

#include <pthread.h>
#include <sqlite3.h>

/* ---- database.c: SQLite with our error texts ---- */

/* Opens (creates with mode 0600) and checks the file, changing nothing in it. */
int db_open(const char *path, sqlite3 **ret, struct err *err) must_check;

/* WAL and references, once it is known that the database is ours. */
int db_set_modes(sqlite3 *db, struct err *err) must_check;

/* Sets SQLite's last message and returns our code for it; call before anything else uses `db`. */
int db_fail(sqlite3 *db, struct err *err);

/* Runs statements that give no rows. */
int db_exec(sqlite3 *db, const char *sql, struct err *err) must_check;

/* Prepares a statement that is kept. `*ret` is owned: sqlite3_finalize() it. */
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err) must_check;

/* Runs a bound statement that gives no rows, then resets it and forgets the values. */
int db_run(sqlite3 *db, sqlite3_stmt *statement, struct err *err) must_check;

/* First column of the first row as an integer, 0 when there is no row or NULL. */
int db_query_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err) must_check;

/* ---- place.c: the file's surroundings ---- */

/* ERR_INVALID, naming the file system, when `magic` is one of the network. */
int place_check(const char *path, uint64_t magic, struct err *err) must_check;

/* Takes "<path>.lock" for this process; `*ret_fd` holds it. ERR_CONFLICT names the owner's pid. */
int place_lock(const char *path, int *ret_fd, struct err *err) must_check;

/* ---- migrate.c, backup.c ---- */

/* Brings `db` to the last of `migrations` (by name, "0001_..." first), with a copy before. */
int migrate(sqlite3 *db, const char *path, const struct embedded_file *migrations,
            struct err *err) must_check;

/* Writes the copy "<path>.backup-v<version>"; one of that version is replaced. */
int backup_write(sqlite3 *db, const char *path, int64_t version, struct err *err) must_check;

/* The copy's path. Returns owned. */
char *backup_path(const char *path, int64_t version);

/* ---- row.c: records as rows ---- */

struct row_statements { /* of one type; prepared at first use */
    const struct record_type *type;
    sqlite3_stmt *put, *remove;
};

enum { ROW_TYPES_MAX = 16 };

struct rows {
    struct row_statements of[ROW_TYPES_MAX];
    size_t count;
    sqlite3_stmt *note_id; /* raises the table's last id */
};

int row_put(struct rows *rows, sqlite3 *db, const struct record_type *type, const void *record,
            struct err *err) must_check;
int row_delete(struct rows *rows, sqlite3 *db, const struct record_type *type, int64_t id,
               struct err *err) must_check;
int row_load(sqlite3 *db, const struct record_type *type, void (*each)(void *record, void *ctx),
             void *ctx, struct err *err) must_check;
void rows_fini(struct rows *rows);

/* ---- txn.c, writer.c ---- */

struct store_txn {
    struct list_node node; /* in the writer's queue */
    struct store *store;
    struct txn_op *ops; /* owned */
    size_t count, room;
    void (*done)(int rc, const char *text, void *ctx);
    void *ctx;
    int rc; /* outcome, for done() */
    struct err err;
};

/* Writes the operations inside a savepoint: all or, on failure, none. */
int txn_apply(struct store_txn *txn, struct err *err) must_check;

/* A thread without signals, to be joined. */
pthread_t start_thread(void *(*entry)(void *arg), void *arg);

/* ---- usage_write.c, usage_sums.c: what transactions do with usage ---- */

enum usage_statement {
    USAGE_FIND_GATEWAY,
    USAGE_PUT_GATEWAY,
    USAGE_FIND_GROUP,
    USAGE_PUT_GROUP,
    USAGE_ADD_HOUR,
    USAGE_ADD_DAY,
    USAGE_PUT_RECORD,
    USAGE_EXPIRE,
    USAGE_STATEMENT_COUNT
};

struct usage_statements { /* prepared at first use */
    sqlite3_stmt *of[USAGE_STATEMENT_COUNT];
};

void usage_statements_fini(struct usage_statements *statements);

/* Adds what of the batch is above its gateway's mark, and raises the mark. */
int usage_add(struct usage_statements *statements, sqlite3 *db, const struct usage_batch *batch,
              struct err *err) must_check;
/* Removes at most USAGE_EXPIRE_MAX records that began before `before_ms`. */
int usage_expire(struct usage_statements *statements, sqlite3 *db, int64_t before_ms,
                 int64_t *ret_count, struct err *err) must_check;
/* Fills in the items. */
int usage_sum(sqlite3 *db, struct usage_sums *sums, struct err *err) must_check;

/* ---- usage_report.c, usage_records.c: answers ---- */

/* Rows and summary; `ret` is empty before, and to be freed also after a failure. */
int usage_report_read(sqlite3 *db, const struct usage_query *query, struct usage_report *ret,
                      struct err *err) must_check;
/* The same for records. */
int usage_records_read(sqlite3 *db, const struct usage_records_query *query,
                       struct usage_records *ret, struct err *err) must_check;

/* Adds " AND column IN (...)" and so on for what the filter names, except its times. Texts become
 * the parameters :route and :request_id. */
void usage_add_filter(struct buf *sql, const struct usage_filter *filter);
void usage_bind_filter(sqlite3_stmt *statement, const struct usage_filter *filter);

/* A column's text, owned; NULL for NULL. */
char *usage_column_text(sqlite3_stmt *statement, int column);

/* ---- reader.c ---- */

/* Opens a connection that only reads at first use, on a thread of its own. Returns owned. */
struct reader *reader_start(const char *path, struct loop *loop);

/* Ends what is under way and the thread; what waits is told so. NULL is fine. */
void reader_stop(struct reader *reader);

struct read_job {
    struct list_node node;
    int (*work)(sqlite3 *db, struct read_job *job, struct err *err); /* reader's thread */
    void (*done)(struct read_job *job, int rc, const struct err *err); /* loop's; frees the job */
    int rc;
    struct err err;
};

/* Takes the job; done() always comes. */
void reader_add(struct reader *reader, struct read_job *job);

struct store {
    sqlite3 *db;
    struct rows rows;
    struct usage_statements usage;
    pthread_mutex_t db_lock; /* held while `db`, `rows` or `usage` is used */
    char *path;              /* owned */
    struct reader *reader;   /* NULL until store_start() */
    int lock_fd;

    struct loop *loop; /* borrowed; NULL until store_start() */
    pthread_t writer;
    pthread_mutex_t queue_lock; /* guards the five below */
    pthread_cond_t queue_changed;
    struct list_node queue; /* struct store_txn, in order of commit */
    bool is_closing;
    unsigned busy_count;         /* tries that found another process writing */
    unsigned busy_closing_count; /* those since is_closing */
    bool has_failed; /* a commit has failed: none after it is written; writer's thread */
};

/* Writes what is in the queue, then ends the thread. */
void writer_stop(struct store *store);

/* ---- seams ---- */

struct store_seams {
    const struct embedded_file *migrations;
    int (*fs_magic)(const char *path, uint64_t *ret); /* file system of the file or its folder */
};

extern const struct embedded_file schema_files[]; /* schema/, by tools/embed */

int store_open_with(const struct store_options *options, const struct store_seams *seams,
                    struct store **ret, struct err *err) must_check;
