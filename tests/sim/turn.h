/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control's turns, as control/control.c has them: what happens at one moment is one turn. Its rows
 * go to the store, what it has to say leaves when they are durable, turns complete in their order.
 */
#pragma once

#include "base/list.h"
#include "sim/store.h"

struct sim;
struct sim_control;
struct sim_node;

struct sim_turn {
    struct list_node node;
    uint64_t number;
    struct sim_txn *txn;
    struct list_node parcels; /* struct sim_parcel */
    bool is_durable;
};

/* What leaves when its turn is durable: a call, or a reply or line for a node. */
struct sim_parcel {
    struct list_node node;
    void (*fn)(struct sim *sim, int64_t number);
    int64_t number;
    struct sim_node *to;
    uint64_t request; /* of the reply, or the stream of the line */
    bool is_line;
    char *text; /* owned */
};

/* The turn in progress; one begins if there is none. */
struct sim_turn *sim_turn_open(struct sim *sim);

/* Adds something to say; the caller fills it. */
struct sim_parcel *sim_turn_add(struct sim_turn *turn);

/* NULL is fine. */
void sim_turn_free(struct sim_turn *turn);

/* The store has written that turn. */
void sim_turn_durable(struct sim *sim, uint64_t number);

/* Calls fn(sim, number) when all that was changed so far is durable; never when control dies. */
void sim_turn_when_durable(struct sim *sim, void (*fn)(struct sim *sim, int64_t number),
                           int64_t number);

/* What tells turns of the cluster's changes; its context is the sim. */
extern const struct cluster_sink sim_turn_sink;
