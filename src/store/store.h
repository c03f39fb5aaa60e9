/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable rows of records. Control keeps the cluster in memory; the store has to bring it back.
 *
 * A transaction is built on the control thread from copies, handed over, and written on the store's
 * own thread; `done` comes back on the loop's thread, in the order of the commits, once the data is
 * on disk (WAL with synchronous=FULL). So the control loop never waits for a disk. Loading happens
 * once, before the loop runs, and blocks.
 */
#pragma once

#include "base/err.h"
#include "domain/record.h"
#include "io/loop.h"

struct store;

struct store_options {
    const char *path;     /* SQLite file */
    bool allow_network_fs; /* open although the file stands on NFS, SMB or the like */
};

/*
 * Opens or creates, checks, and migrates. In order: refuses a network file system (statfs magic)
 * unless allowed; refuses a database that another process has open (ERR_CONFLICT naming its pid, by
 * a lock on "<path>.lock"), a damaged one, one of another program, and one of a newer version
 * (ERR_NEWER, naming both versions); copies the file to "<path>.backup-v<N>" before it applies
 * migrations to an existing database; applies each migration of schema/ in one transaction with its
 * version row. Blocks.
 */
int store_open(const struct store_options *options, struct store **ret, struct err *err) must_check;

/* Waits for what was committed, closes. NULL is fine. */
void store_close(struct store *store);

/* Starts the writing thread; its replies come through `loop`. Call once, after loading. */
void store_start(struct store *store, struct loop *loop);

/*
 * Calls `each` for every row of the type's table by id; `record` is valid during the call, in which
 * the store may not be used. Transient fields have their defaults. Blocks.
 */
int store_load(struct store *store, const struct record_type *type,
               void (*each)(void *record, void *ctx), void *ctx, struct err *err) must_check;

/*
 * Highest id that a row of the type ever had, deleted ones included; 0 when there was none. Kept by
 * the store in the transaction that puts the row: an id is never given twice, whatever was deleted
 * or restarted in between. Blocks.
 */
int store_last_id(struct store *store, const struct record_type *type, int64_t *ret,
                  struct err *err) must_check;

/* Settings: small named texts (cluster id, secrets). `*ret` is owned, NULL when absent. Blocks. */
int store_get_setting(struct store *store, const char *name, char **ret,
                      struct err *err) must_check;
int store_put_setting(struct store *store, const char *name, const char *value,
                      struct err *err) must_check;

/* ---- transactions ---- */

struct store_txn;

/* An empty transaction. Returns owned. */
struct store_txn *store_txn_new(struct store *store);

/* Inserts or replaces the row with the record's id (> 0). Copies. */
void store_txn_put(struct store_txn *txn, const struct record_type *type, const void *record);

/* Deletes by id; an absent row is fine. */
void store_txn_delete(struct store_txn *txn, const struct record_type *type, int64_t id);

bool store_txn_is_empty(const struct store_txn *txn);

/*
 * Takes the transaction and writes it; done(rc, text, ctx) on the loop's thread: 0 when durable, or
 * a negative code after which nothing of it is stored. Order of done() = order of commits. While
 * another process holds the database's write lock commits wait; that is no failure.
 * After one that failed none is written any more (ERR_UNAVAILABLE), for later ones stand on it:
 * close and open again.
 */
void store_txn_commit(struct store_txn *txn, void (*done)(int rc, const char *text, void *ctx),
                      void *ctx);

/* Drops an uncommitted transaction. NULL is fine. */
void store_txn_free(struct store_txn *txn);
