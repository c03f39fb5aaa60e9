/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_priv.h"

#include <assert.h>

enum op_kind { OP_PUT, OP_DELETE, OP_ADD_USAGE, OP_SUM_USAGE, OP_EXPIRE_USAGE };

struct txn_op {
    enum op_kind kind;
    const struct record_type *type; /* OP_PUT, OP_DELETE */
    void *record;                   /* OP_PUT: owned copy */
    int64_t id;                     /* OP_DELETE; OP_EXPIRE_USAGE: before that time */
    struct usage_batch *batch;      /* OP_ADD_USAGE: owned */
    struct usage_sums *sums;        /* OP_SUM_USAGE: borrowed */
    int64_t *count;                 /* OP_EXPIRE_USAGE: borrowed */
};

static void op_fini(struct txn_op *op)
{
    if (op->record)
        record_fini(op->type, op->record);
    free(op->record);
    if (op->batch)
        usage_batch_fini(op->batch);
    free(op->batch);
}

struct store_txn *store_txn_new(struct store *store)
{
    struct store_txn *txn = mem_alloc(sizeof *txn);
    txn->store = store;
    return txn;
}

void store_txn_free(struct store_txn *txn)
{
    if (!txn)
        return;
    for (size_t i = 0; i < txn->count; i++)
        op_fini(&txn->ops[i]);
    free(txn->ops);
    free(txn);
}

static struct txn_op *add_op(struct store_txn *txn, enum op_kind kind)
{
    if (txn->count == txn->room) {
        txn->room = txn->room ? txn->room * 2 : 4;
        txn->ops = mem_resize(txn->ops, txn->room * sizeof *txn->ops);
    }
    struct txn_op *op = &txn->ops[txn->count++];
    *op = (struct txn_op){.kind = kind};
    return op;
}

void store_txn_put(struct store_txn *txn, const struct record_type *type, const void *record)
{
    struct txn_op *op = add_op(txn, OP_PUT);
    op->type = type;
    op->record = mem_alloc(type->size);
    record_copy(type, op->record, record);
}

void store_txn_delete(struct store_txn *txn, const struct record_type *type, int64_t id)
{
    struct txn_op *op = add_op(txn, OP_DELETE);
    op->type = type;
    op->id = id;
}

void store_txn_add_usage(struct store_txn *txn, struct usage_batch *batch)
{
    struct txn_op *op = add_op(txn, OP_ADD_USAGE);
    op->batch = mem_alloc(sizeof *op->batch);
    *op->batch = *batch;
    *batch = (struct usage_batch){0};
}

void store_txn_sum_usage(struct store_txn *txn, struct usage_sums *sums)
{
    add_op(txn, OP_SUM_USAGE)->sums = sums;
}

void store_txn_expire_usage(struct store_txn *txn, int64_t before_ms, int64_t *ret_count)
{
    struct txn_op *op = add_op(txn, OP_EXPIRE_USAGE);
    op->id = before_ms;
    op->count = ret_count;
}

bool store_txn_is_empty(const struct store_txn *txn)
{
    return txn->count == 0;
}

static int apply_op(struct store *store, struct txn_op *op, struct err *err)
{
    switch (op->kind) {
    case OP_PUT:
        return row_put(&store->rows, store->db, op->type, op->record, err);
    case OP_DELETE:
        return row_delete(&store->rows, store->db, op->type, op->id, err);
    case OP_ADD_USAGE:
        return usage_add(&store->usage, store->db, op->batch, err);
    case OP_SUM_USAGE:
        return usage_sum(store->db, op->sums, err);
    case OP_EXPIRE_USAGE:
        return usage_expire(&store->usage, store->db, op->id, op->count, err);
    }
    return 0;
}

static int apply_ops(struct store_txn *txn, struct err *err)
{
    for (size_t i = 0; i < txn->count; i++) {
        int rc = apply_op(txn->store, &txn->ops[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int txn_apply(struct store_txn *txn, struct err *err)
{
    sqlite3 *db = txn->store->db;
    int rc = db_exec(db, "SAVEPOINT txn", err);
    if (rc < 0)
        return rc;
    rc = apply_ops(txn, err);
    if (rc == 0)
        return db_exec(db, "RELEASE txn", err);
    /* Some faults (a full disk) end the whole transaction at once; then there is no savepoint. */
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK TO txn; RELEASE txn", NULL, NULL, NULL);
    return rc;
}
