/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage in the database: records of single requests, their sums by hour and day, and how far each
 * gateway has come. It never lives in control's memory.
 *
 * Written as parts of transactions (store.h), so that what a gateway sent is counted once whatever
 * ends in between. Read by a thread of its own over a second connection, which neither the loop nor
 * the writer waits for; a read sees what was durable when it began.
 */
#pragma once

#include "domain/usage_report.h"
#include "store/store.h"

enum {
    STORE_READS_MAX = 256,      /* reads that wait at once; more are refused */
    STORE_READ_MS = 10000,      /* after which a read is given up */
    USAGE_EXPIRE_MAX = 5000,    /* records that one transaction removes */
};

/* ---- in transactions ---- */

/*
 * Adds a batch's records, those of them that are above the gateway's mark, and raises the mark.
 * Takes the batch's content.
 */
void store_txn_add_usage(struct store_txn *txn, struct usage_batch *batch);

/* Tokens of a user, key and model together. */
struct usage_sum {
    int64_t user_id, key_id, model_id;
    int64_t tokens; /* prompt and completion */
};

/* Tokens since `start_ms`, which is the begin of a UTC day, or of an hour with `is_hourly`. */
struct usage_sums {
    int64_t start_ms;
    bool is_hourly;
    struct usage_sum *items; /* owned */
    size_t count;
};

/* Fills in the sums as they are at this place of the transaction. `sums` is the writer's until the
 * transaction is done. */
void store_txn_sum_usage(struct store_txn *txn, struct usage_sums *sums);

void usage_sums_fini(struct usage_sums *sums);

/* Removes the records of requests that began before `before_ms`, USAGE_EXPIRE_MAX at most; their
 * sums stay. The count is in `*ret_count` when the transaction is done. */
void store_txn_expire_usage(struct store_txn *txn, int64_t before_ms, int64_t *ret_count);

/* ---- before store_start(); these block ---- */

/* Calls `each` for every gateway with the seq up to which its records are stored. */
int store_load_gateways(struct store *store,
                        void (*each)(const char *uuid, int64_t applied, void *ctx), void *ctx,
                        struct err *err) must_check;

/* The same as store_txn_sum_usage(), at once. */
int store_load_sums(struct store *store, struct usage_sums *sums, struct err *err) must_check;

/* ---- reading; `done` comes on the loop's thread ---- */

/* `report` is NULL with an error; else its content may be taken. */
typedef void store_report_cb(int rc, const char *text, struct usage_report *report, void *ctx);
typedef void store_records_cb(int rc, const char *text, struct usage_records *records, void *ctx);

/*
 * Asks for sums. Takes the content of `query`. `done` always comes, possibly after store_close():
 * ERR_UNAVAILABLE when too many wait or the store closes, ERR_TIMEOUT after STORE_READ_MS.
 */
void store_read_usage(struct store *store, struct usage_query *query, store_report_cb *done,
                      void *ctx);

/* The same for single requests. */
void store_read_records(struct store *store, struct usage_records_query *query,
                        store_records_cb *done, void *ctx);
