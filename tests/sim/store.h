/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake store: transactions become durable after a while, in their order. When control dies,
 * some of those under way are still written, always the first ones; control never hears of it.
 */
#pragma once

#include "base/list.h"
#include "control/cluster.h"

struct sim;

/* Rows of one turn, in the order of their changes. */
struct sim_txn {
    struct list_node node;
    struct list_node rows; /* struct txn_row, see store.c */
    uint64_t turn;
};

struct sim_store {
    struct cluster durable;   /* what is on the disk; only records, no transient fields */
    struct list_node pending; /* struct sim_txn: under way, oldest first */
    int64_t last_due_ms;      /* when the last of them is due */
    int64_t frozen_until_ms;
    int64_t full_until_ms; /* until then no commit succeeds */
    uint64_t epoch; /* grows when control dies: what was under way comes to nothing */
};

void sim_store_init(struct sim_store *store);
void sim_store_fini(struct sim_store *store);

/* An empty transaction; owned. */
struct sim_txn *sim_txn_new(void);
void sim_txn_free(struct sim_txn *txn);
bool sim_txn_is_empty(const struct sim_txn *txn);

/* Adds a row; what is stored is the record as it is now. */
void sim_txn_put(struct sim_txn *txn, enum kind kind, const void *record);
void sim_txn_delete(struct sim_txn *txn, enum kind kind, int64_t id);

/* Takes `txn`; sim_control_durable(sim, turn) follows, or control dies of a failed commit. */
void sim_store_commit(struct sim *sim, struct sim_txn *txn, uint64_t turn);

/* Control died: a few of the transactions under way are still written. */
void sim_store_orphan(struct sim *sim);

/* Fills an empty cluster as control does when it starts. */
void sim_store_load(const struct sim *sim, struct cluster *cluster);
