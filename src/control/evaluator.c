/* SPDX-License-Identifier: Apache-2.0 */
#include "control/evaluator.h"

#include "control/defrag.h"
#include "control/evaluation.h"
#include "control/turn_priv.h"

struct evaluator {
    struct reconcile_env env;
    struct placing placing;
    unsigned replicas_left;
};

struct evaluator *evaluator_new(struct control *control)
{
    struct evaluator *evaluator = mem_alloc(sizeof *evaluator);
    evaluator->env = control_reconcile_env(control);
    evaluator->replicas_left = EVALUATION_REPLICAS_MAX;
    evaluator->placing =
        (struct placing){.cluster = control_cluster(control), .env = &evaluator->env};
    return evaluator;
}

void evaluator_free(struct evaluator *evaluator)
{
    if (!evaluator)
        return;
    placing_fini(&evaluator->placing);
    free(evaluator);
}

void evaluator_write(struct evaluator *evaluator, const struct model *model,
                     struct json_writer *w)
{
    evaluation_write(&evaluator->placing, model, &evaluator->replicas_left, w);
}

void evaluator_write_moves(struct evaluator *evaluator, struct json_writer *w)
{
    defrag_write(&evaluator->placing, w);
}
