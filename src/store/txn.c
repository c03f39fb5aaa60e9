/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_priv.h"

#include <assert.h>

struct txn_op {
    const struct record_type *type;
    void *record; /* owned copy to put; NULL: delete */
    int64_t id;
};

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
    for (size_t i = 0; i < txn->count; i++) {
        if (txn->ops[i].record)
            record_fini(txn->ops[i].type, txn->ops[i].record);
        free(txn->ops[i].record);
    }
    free(txn->ops);
    free(txn);
}

static struct txn_op *add_op(struct store_txn *txn, const struct record_type *type)
{
    if (txn->count == txn->room) {
        txn->room = txn->room ? txn->room * 2 : 4;
        txn->ops = mem_resize(txn->ops, txn->room * sizeof *txn->ops);
    }
    struct txn_op *op = &txn->ops[txn->count++];
    *op = (struct txn_op){.type = type};
    return op;
}

void store_txn_put(struct store_txn *txn, const struct record_type *type, const void *record)
{
    struct txn_op *op = add_op(txn, type);
    op->record = mem_alloc(type->size);
    record_copy(type, op->record, record);
}

void store_txn_delete(struct store_txn *txn, const struct record_type *type, int64_t id)
{
    add_op(txn, type)->id = id;
}

bool store_txn_is_empty(const struct store_txn *txn)
{
    return txn->count == 0;
}

static int apply_ops(struct store_txn *txn, struct rows *rows, sqlite3 *db, struct err *err)
{
    for (size_t i = 0; i < txn->count; i++) {
        struct txn_op *op = &txn->ops[i];
        int rc = op->record ? row_put(rows, db, op->type, op->record, err)
                            : row_delete(rows, db, op->type, op->id, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int txn_apply(struct store_txn *txn, struct rows *rows, sqlite3 *db, struct err *err)
{
    int rc = db_exec(db, "SAVEPOINT txn", err);
    if (rc < 0)
        return rc;
    rc = apply_ops(txn, rows, db, err);
    if (rc == 0)
        return db_exec(db, "RELEASE txn", err);
    /* Some faults (a full disk) end the whole transaction at once; then there is no savepoint. */
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK TO txn; RELEASE txn", NULL, NULL, NULL);
    return rc;
}
