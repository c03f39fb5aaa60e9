/* SPDX-License-Identifier: Apache-2.0 */
/* The store's thread: takes what waits in the queue and writes it as one SQLite transaction, so
 * that commits that come while the disk is busy share the next fsync. */
#include "store/store_priv.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

enum {
    BATCH_MAX = 64,          /* commits that share an fsync */
    STACK_BYTES = 256 << 10, /* SQLite needs some tens of KiB */
    BUSY_TRY_MS = 200,       /* of waiting for another process that writes, before a look around */
    BUSY_CLOSING_TRIES = 10, /* a store that closes can't wait for as long as it takes */
};

struct batch {
    struct store_txn *txns[BATCH_MAX]; /* owned */
    size_t count;
};

/* Gives every commit of the batch the same outcome. */
static void fail_batch(struct batch *batch, int rc, const struct err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        batch->txns[i]->rc = rc;
        batch->txns[i]->err = *err;
    }
}

/* Later commits may stand on one that failed: none of them is written. */
static int refuse_after_failure(struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE, "a commit before it has failed");
}

/*
 * A commit that fails leaves those before it be and ends those after it; a fault that ended the
 * transaction fails all.
 */
static int apply_batch(struct store *store, struct batch *batch, struct err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct store_txn *txn = batch->txns[i];
        if (store->has_failed)
            txn->rc = refuse_after_failure(&txn->err);
        else
            txn->rc = txn_apply(txn, &txn->err);
        store->has_failed = txn->rc < 0;
        if (sqlite3_get_autocommit(store->db)) {
            *err = txn->err;
            return txn->rc;
        }
    }
    return 0;
}

/* Another process still has the database: whether to try again. */
static bool may_wait_on(struct store *store)
{
    pthread_mutex_lock(&store->queue_lock);
    store->busy_count++;
    bool may_wait = !store->is_closing || ++store->busy_closing_count < BUSY_CLOSING_TRIES;
    pthread_mutex_unlock(&store->queue_lock);
    return may_wait;
}

/*
 * Others may hold the database (a backup, the sqlite3 program, a file system that hangs) for as
 * long as they like: commits wait for them. A failure here would end control, and the next one
 * would find the same.
 */
static int begin(struct store *store, struct err *err)
{
    int rc;
    do
        rc = db_exec(store->db, "BEGIN IMMEDIATE", err);
    while (rc == -EBUSY && may_wait_on(store));
    return rc;
}

static void write_batch(struct store *store, struct batch *batch)
{
    struct err err = {0};
    pthread_mutex_lock(&store->db_lock);
    int rc = store->has_failed ? refuse_after_failure(&err) : begin(store, &err);
    if (rc == 0)
        rc = apply_batch(store, batch, &err);
    if (rc == 0)
        rc = db_exec(store->db, "COMMIT", &err);
    if (rc < 0) {
        if (!sqlite3_get_autocommit(store->db))
            sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        fail_batch(batch, rc, &err);
        store->has_failed = true;
    }
    pthread_mutex_unlock(&store->db_lock);
}

/* On the loop's thread; the store may be closed by now. */
static void deliver(void *arg)
{
    struct store_txn *txn = arg;
    txn->done(txn->rc, txn->err.text, txn->ctx);
    store_txn_free(txn);
}

/* Waits for commits; an empty batch means that the store closes and all is written. */
static void take_batch(struct store *store, struct batch *ret)
{
    ret->count = 0;
    pthread_mutex_lock(&store->queue_lock);
    while (list_is_empty(&store->queue) && !store->is_closing)
        pthread_cond_wait(&store->queue_changed, &store->queue_lock);
    while (ret->count < BATCH_MAX && !list_is_empty(&store->queue)) {
        struct store_txn *txn = LIST_FIRST(&store->queue, struct store_txn, node);
        list_remove(&txn->node);
        ret->txns[ret->count++] = txn;
    }
    pthread_mutex_unlock(&store->queue_lock);
}

static void *run(void *arg)
{
    struct store *store = arg;
    struct batch batch;
    for (;;) {
        take_batch(store, &batch);
        if (batch.count == 0)
            return NULL;
        write_batch(store, &batch);
        for (size_t i = 0; i < batch.count; i++)
            loop_post(store->loop, deliver, batch.txns[i]);
    }
}

pthread_t start_thread(void *(*entry)(void *arg), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread */
    if (pthread_create(&thread, &attr, entry, arg) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return thread;
}

void store_start(struct store *store, struct loop *loop)
{
    assert(!store->loop);
    store->loop = loop;
    store->reader = reader_start(store->path, loop);
    sqlite3_busy_timeout(store->db, BUSY_TRY_MS); /* begin() goes on trying */
    store->writer = start_thread(run, store);
}

void store_txn_commit(struct store_txn *txn, void (*done)(int rc, const char *text, void *ctx),
                      void *ctx)
{
    struct store *store = txn->store;
    assert(store->loop);
    txn->done = done;
    txn->ctx = ctx;
    pthread_mutex_lock(&store->queue_lock);
    list_add_tail(&store->queue, &txn->node);
    pthread_cond_signal(&store->queue_changed);
    pthread_mutex_unlock(&store->queue_lock);
}

void writer_stop(struct store *store)
{
    if (!store->loop)
        return;
    reader_stop(store->reader);
    store->reader = NULL;
    pthread_mutex_lock(&store->queue_lock);
    store->is_closing = true;
    pthread_cond_signal(&store->queue_changed);
    pthread_mutex_unlock(&store->queue_lock);
    pthread_join(store->writer, NULL);
    store->loop = NULL;
}
