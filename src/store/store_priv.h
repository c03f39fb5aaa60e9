/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of store/ share; the seams for tests are at the end. */
#pragma once

#include "base/embed.h"
#include "base/list.h"
#include "store/store.h"

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
int txn_apply(struct store_txn *txn, struct rows *rows, sqlite3 *db, struct err *err) must_check;

struct store {
    sqlite3 *db;
    struct rows rows;
    pthread_mutex_t db_lock; /* held while `db` or `rows` is used */
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
