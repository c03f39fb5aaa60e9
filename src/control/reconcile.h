/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconciler: compares what is wanted (models and their replicas) with what there is (instances
 * and workers) and takes the steps that are missing. Idempotent and deterministic: it may run at
 * any time, from any state, and changes nothing when all is as wanted.
 *
 *     model.replicas > instances      a pending instance is added
 *     model.replicas < instances      the least useful instance is removed (see reconcile.c)
 *     instance without worker         is placed, or keeps its reason in state_message
 *     instance of a removed worker    is replaced by a fresh one
 *     model changed (generation)      its instances take the new settings one at a time; one that
 *                                     may not stay on its worker is replaced by a fresh one
 */
#pragma once

#include "control/cluster.h"

struct reconcile_env {
    int64_t now_ms;                  /* wall clock, for the records' times */
    char *(*make_suffix)(void *ctx); /* 5 fresh lower-case letters or digits; returns owned */
    void *ctx;
    uint64_t reserved_ram_bytes; /* per worker, not for engines */
};

/* Returns whether an instance is left without a worker. */
bool reconcile(struct cluster *cluster, const struct reconcile_env *env);
