/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings that a model had: each generation's are kept, so that one call brings them back.
 * Deterministic; control's thread.
 */
#pragma once

#include "control/cluster.h"

enum { REVISIONS_PER_MODEL_MAX = 20 }; /* the oldest go */

/* Keeps the model's present settings as a revision; to be called when its generation has grown. */
void revisions_keep(struct cluster *cluster, const struct model *model, int64_t now_ms);

/*
 * Gives a copy of a model the settings of an older generation (0: the one before the present).
 * ERR_NOT_FOUND names the generations that are kept.
 */
int revisions_restore(const struct cluster *cluster, struct model *copy, int64_t generation,
                      struct err *err) must_check;
