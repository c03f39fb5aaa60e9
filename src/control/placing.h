/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: placement for one pass of the reconciler. What placement sees of
 * the workers is written down when it is first asked for, and follows what the pass gives out; what
 * the pass takes away comes free with the next one. Deterministic.
 */
#pragma once

#include "control/reconcile.h"
#include "sched/place.h"

/* The zero value with `cluster` and `env` set. */
struct placing {
    struct cluster *cluster;         /* borrowed */
    const struct reconcile_env *env; /* borrowed */
    struct place_worker *views;      /* owned; NULL: not asked for yet */
    struct place_device *devices;    /* owned; of all views */
    size_t count;
    int64_t refused_model_id; /* no worker takes another instance of it; 0: none */
    char *refusal;            /* why; owned */
    char *refusal_args;       /* JSON; owned */
};

void placing_fini(struct placing *placing);

/* Whether another instance of the model would find room now, besides on the workers to avoid. */
bool placing_has_room(struct placing *placing, const struct model *model,
                      const struct int_list *avoid_worker_ids);

/* Why none would, in words, or NULL when one would. Returns owned. */
char *placing_refusal(struct placing *placing, const struct model *model);

/*
 * Gives the instance a worker and devices, several workers if it is to be a gang, or its reason to
 * wait. Puts it.
 */
void placing_place(struct placing *placing, const struct model_instance *instance);

/* Whether the instance, where it is, has what the model's settings ask for: labels, devices. */
bool placing_may_stay(const struct cluster *cluster, const struct model *model,
                      const struct model_instance *instance);
