/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/, its tests and the simulator: instances over several workers, all or none. See
 * "Gangs" in doc/internals/control-plane.md. The functions work on a copy of the instance, which
 * the caller then puts. Deterministic.
 *
 *      preparing --all prepared, delay over--> go --all serve--> running
 *          ^                                    |                   |
 *          +------- any rank ends: epoch + 1 ---+-------------------+
 */
#pragma once

#include "control/cluster.h"
#include "domain/gang.h"

enum {
    GANG_DELAY_MIN_MS = 10 * 1000, /* before the try that follows the first failure; doubles */
    GANG_DELAY_MAX_MS = 5 * 60 * 1000,
    GANG_HEALTHY_MS = 10 * 60 * 1000, /* serving so long makes earlier failures forgotten */
};

struct gang_env {
    int64_t now_ms;      /* wall clock */
    int64_t now_mono_ms; /* monotonic clock, which delays are counted by */
};

/* Takes what the rank's worker reported: `entry` is its object in the report. */
void gangs_take_entry(struct cluster *cluster, struct model_instance *copy, int64_t worker_id,
                      const json_t *entry, const struct gang_env *env);

/* The rank's worker, up to date, doesn't know the instance. */
void gangs_lose_rank(struct cluster *cluster, struct model_instance *copy, int64_t worker_id,
                     const struct gang_env *env);

/* Whether time alone lets the gang go now. */
bool gangs_is_due(const struct model_instance *instance, const struct gang_env *env);

/* Sets go and the instance's state by what its ranks are. */
void gangs_settle(struct cluster *cluster, struct model_instance *copy,
                  const struct gang_env *env);

/* All ranks start anew, as with other settings; failures are forgotten. */
void gangs_renew(struct model_instance *copy);
