/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation of models before they are deployed, in GPUStack's shape and more: faults in the
 * settings, where an instance would go, or why nowhere and what could be done: doc/placement.md.
 * What models are made of may have to be read first: that is waited for, but not for long.
 */
#include "api/api_priv.h"
#include "control/evaluator.h"
#include "control/shapes.h"

enum { AWAIT_MS = 3000 }; /* in all; a hub may not answer at all */

/* One of the specs. */
struct subject {
    struct err fault; /* why the settings can't be a model's */
    int rc;
};

struct evaluation {
    struct request *rq; /* held while files are awaited */
    size_t count;
    struct model *models;     /* owned; zeroed where the spec can't be one */
    struct subject *subjects; /* owned */
};

static int read_spec(const json_t *spec, struct model *ret, struct err *err)
{
    record_init(&model_type, ret);
    auto_fini(json_release) json_t *named = json_copy((json_t *)(uintptr_t)spec);
    if (!json_member_string(named, "name"))
        json_object_set_new(named, "name", json_string("evaluated"));
    int rc = record_read(&model_type, ret, named, RECORD_CREATE, err);
    return rc == 0 ? model_validate(ret, err) : rc;
}

static struct evaluation *evaluation_new(struct request *rq)
{
    const json_t *specs = json_object_get(rq->body, "model_specs");
    struct evaluation *evaluation = mem_alloc(sizeof *evaluation);
    evaluation->rq = rq;
    evaluation->count = json_array_size(specs);
    evaluation->models = mem_alloc_array(evaluation->count + 1, sizeof *evaluation->models);
    evaluation->subjects = mem_alloc_array(evaluation->count + 1, sizeof *evaluation->subjects);
    for (size_t i = 0; i < evaluation->count; i++) {
        struct subject *subject = &evaluation->subjects[i];
        struct model *model = &evaluation->models[i];
        subject->rc = read_spec(json_array_get(specs, i), model, &subject->fault);
        if (subject->rc < 0)
            record_fini(&model_type, model); /* nobody has to look for its files */
    }
    return evaluation;
}

static void evaluation_free(struct evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->count; i++)
        record_fini(&model_type, &evaluation->models[i]);
    free(evaluation->models);
    free(evaluation->subjects);
    free(evaluation);
}

/* ---- the answer ---- */

static void write_fault(struct json_writer *w, const char *fault)
{
    json_put_bool(w, "compatible", false);
    json_add_key(w, "compatibility_messages");
    json_begin_array(w);
    json_add_cstring(w, fault);
    json_end_array(w);
    json_add_key(w, "scheduling_messages");
    json_begin_array(w);
    json_end_array(w);
    json_add_key(w, "resource_claim");
    json_add_null(w);
}

static void write_result(struct evaluator *evaluator, const struct model *model,
                         const struct subject *subject, struct json_writer *w)
{
    bool is_faulty = subject->rc < 0;
    json_begin_object(w);
    if (is_faulty)
        write_fault(w, subject->fault.text);
    else
        evaluator_write(evaluator, model, w);
    json_add_key(w, "default_spec");
    json_add_null(w);
    json_put_bool(w, "error", is_faulty);
    json_put_string(w, "error_message", is_faulty ? subject->fault.text : NULL);
    json_end_object(w);
}

static void write_results(const struct evaluation *evaluation)
{
    struct json_writer *w = &evaluation->rq->json;
    struct evaluator *evaluator = evaluator_new(evaluation->rq->control);
    json_begin_object(w);
    json_add_key(w, "results");
    json_begin_array(w);
    for (size_t i = 0; i < evaluation->count; i++)
        write_result(evaluator, &evaluation->models[i], &evaluation->subjects[i], w);
    json_end_array(w);
    json_end_object(w);
    evaluator_free(evaluator);
}

/* ---- waiting ---- */

static void on_known(void *ctx)
{
    struct evaluation *evaluation = ctx;
    if (evaluation->rq->ex) /* else the client has left, or control ends */
        write_results(evaluation);
    request_finish_read(evaluation->rq, 0, NULL);
    evaluation_free(evaluation);
}

int evaluations_create(struct request *rq, struct err *err)
{
    struct evaluation *evaluation = evaluation_new(rq);
    struct shapes *shapes = control_shapes(rq->control);
    if (shapes_are_awaited(shapes, evaluation->models, evaluation->count)) {
        request_hold(rq);
        shapes_await(shapes, evaluation->models, evaluation->count, AWAIT_MS, on_known,
                     evaluation);
        return REQUEST_PENDING;
    }
    write_results(evaluation);
    evaluation_free(evaluation);
    return 0;
}

int rebalance_plan_get(struct request *rq, struct err *err)
{
    struct evaluator *evaluator = evaluator_new(rq->control);
    json_begin_object(&rq->json);
    evaluator_write_moves(evaluator, &rq->json);
    json_end_object(&rq->json);
    evaluator_free(evaluator);
    return 0;
}
