/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/: the steps towards one model's replicas; see "Replicas" in
 * doc/internals/control-plane.md. Deterministic.
 *
 * An instance counts as a replica unless it drains to go. An instance that replaces another one
 * (`replaces_id`) counts together with it as one: the pair is the model's surge.
 */
#pragma once

#include "control/placing.h"

/* Whether a lost instance's replacement is under way, if that is known; a change forgets it. */
enum lost_surge { LOST_SURGE_UNKNOWN, LOST_SURGE_NONE, LOST_SURGE_RUNS };

struct pass {
    struct cluster *cluster;
    const struct reconcile_env *env;
    struct dirty *dirty;
    struct placing placing;
    enum lost_surge *lost_surge; /* found out once, for models that ask for it by the hundred */
};

/* Takes all steps that can be taken now. */
void replicas_step(struct pass *pass, const struct model *model);

/* A pending instance of the model with its present settings; borrows the row. */
struct model_instance *replicas_add(struct pass *pass, const struct model *model,
                                    int64_t replaces_id, const struct int_list *avoid_worker_ids);

/* ---- what an instance is, see replicas_view.c ---- */

/* Why an instance shall not stay as it is. */
enum leaving {
    LEAVING_NOT,
    LEAVING_OUTDATED,    /* the model has newer settings */
    LEAVING_MAINTENANCE, /* its worker is to be drained */
    LEAVING_LOST,        /* its worker is given up */
};

/* The weightiest reason for it to go, or LEAVING_NOT. */
enum leaving replicas_leaving(const struct pass *pass, const struct model *model,
                              const struct model_instance *instance);

/* The instance that replaces `old`, or NULL. */
struct model_instance *replicas_replacement(const struct pass *pass,
                                            const struct model_instance *old);

/* The model's surge, or NULL. */
struct model_instance *replicas_surge(const struct pass *pass, const struct model *model);

/* Whether it drains and comes back with other settings, in place. */
bool replicas_comes_back(const struct model_instance *instance);

/* Replicas that there are, a pair counted once. */
int64_t replicas_count(const struct pass *pass, const struct model *model);

/* The one that goes first when there are too many, or NULL. */
struct model_instance *replicas_least_useful(const struct pass *pass, const struct model *model);

/* Whether every placed instance with the model's present settings serves. */
bool replicas_new_ones_serve(const struct pass *pass, const struct model *model);

/* Instances that take requests now. */
int64_t replicas_ready(const struct pass *pass, const struct model *model);

/* Whether one of the model drains. */
bool replicas_drains(const struct pass *pass, const struct model *model);

/* Whether anywhere in the cluster a lost instance's replacement is under way. */
bool replicas_lost_surge(const struct pass *pass);
