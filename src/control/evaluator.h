/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks placement what would be, as things are now: several questions share one look at the workers.
 * Changes nothing. Lives within one turn.
 *
 *     struct evaluator *evaluator = evaluator_new(control);
 *     evaluator_write(evaluator, &model, w);
 *     evaluator_free(evaluator);
 */
#pragma once

#include "control/control.h"
#include "domain/model.h"

struct evaluator;

/* Returns owned. */
struct evaluator *evaluator_new(struct control *control);
void evaluator_free(struct evaluator *evaluator);

/* Members of an evaluation (control/evaluation.h); the model need not be the cluster's. */
void evaluator_write(struct evaluator *evaluator, const struct model *model,
                     struct json_writer *w);

/* Members of a plan of moves that would tidy the cluster up (control/defrag.h). */
void evaluator_write_moves(struct evaluator *evaluator, struct json_writer *w);
