/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: what instances really took, so that later estimates are better
 * (estimate/correction.h). Learnt from each start of an instance that runs alone on one worker and
 * whose engine takes what it needs, not what it is given: not of vLLM and the like, which fill what
 * they may have. Kept in memory; after a start of control the instances that run teach it again.
 *
 * Deterministic; control's thread.
 */
#pragma once

#include "control/needs.h"

struct reconcile_env;
struct learning;

/* Returns owned. */
struct learning *learning_new(void);
void learning_free(struct learning *learning);

/* What was learnt. Borrowed. */
const struct correction_table *learning_corrections(const struct learning *learning);

/* An instance was put: it may have been measured. Cheap. */
void learning_note(struct learning *learning, const struct model_instance *instance);

/* Learns of those that were noted; how many taught something. Before the reconciler runs. */
size_t learning_settle(struct learning *learning, const struct cluster *cluster,
                       const struct reconcile_env *env);
