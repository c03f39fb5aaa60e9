/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconciler: compares what is wanted (models and their replicas) with what there is (instances
 * and workers) and takes the steps that are missing. Idempotent and deterministic: it may run at
 * any time, from any state, and changes nothing when all is as wanted. The rules stand in
 * doc/internals/control-plane.md.
 *
 *     model.replicas > instances      a pending instance is added
 *     model.replicas < instances      the one with the lowest score goes (see sched/score.h)
 *     instance without worker         is placed, or keeps its reason
 *     instance of a removed worker    is replaced by a fresh one
 *     model changed (generation)      its instances follow one at a time: a fresh one first where
 *                                     there is room, else the old one drains and restarts
 *     worker lost, or to be drained   its instances are replaced, one at a time
 *     instance failed twice in a row  moves to another worker if one has room
 *     its files are missing           they are fetched first: control/file_pass.h
 */
#pragma once

#include "control/dirty.h"

struct need_source;
struct needs;

struct reconcile_env {
    int64_t now_ms;                  /* wall clock, for the records' times */
    char *(*make_suffix)(void *ctx); /* 5 fresh lower-case letters or digits; returns owned */
    void *ctx;
    uint64_t reserved_ram_bytes;  /* per worker, not for engines */
    uint64_t reserved_vram_bytes; /* per device */
    struct needs *needs; /* estimates; NULL: models are placed by their wishes alone; borrowed */
    /* Sets what is known of a model's files (control/needs.h); NULL: nothing ever is. */
    void (*source_of)(const struct model *model, struct need_source *ret, void *ctx);
    const struct int_list *lost; /* workers that are given up, ascending; NULL: none; borrowed */
};

enum {
    RECONCILE_MOVE_FAILURES = 2,    /* in a row, after which another worker is tried */
    RECONCILE_PLACED_MAX = 64,      /* in one pass: other events are not to wait for thousands */
    RECONCILE_RESERVE_MS = 300000,  /* so long nobody of its own priority overtakes who waits */
};

/* One pass over the models in `dirty`, which is left with what its own changes have made dirty. */
void reconcile(struct cluster *cluster, const struct reconcile_env *env, struct dirty *dirty);
