/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation of models before they are deployed, in GPUStack's shape and more: faults in the
 * settings, where an instance would go, or why nowhere and what could be done: doc/placement.md.
 */
#include "api/api_priv.h"

/* Why the settings can't be a model's; 0 when they can. */
static int read_spec(const json_t *spec, struct model *ret, struct err *err)
{
    record_init(&model_type, ret);
    auto_fini(json_release) json_t *named = json_copy((json_t *)(uintptr_t)spec);
    if (!json_member_string(named, "name"))
        json_object_set_new(named, "name", json_string("evaluated"));
    int rc = record_read(&model_type, ret, named, RECORD_CREATE, err);
    return rc == 0 ? model_validate(ret, err) : rc;
}

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

static void write_result(struct request *rq, const json_t *spec)
{
    struct model model = {0};
    struct err err = {0};
    int rc = read_spec(spec, &model, &err);
    struct json_writer *w = &rq->json;
    json_begin_object(w);
    if (rc == 0)
        control_evaluate(rq->control, &model, w);
    else
        write_fault(w, err.text);
    json_add_key(w, "default_spec");
    json_add_null(w);
    json_put_bool(w, "error", rc < 0);
    json_put_string(w, "error_message", rc < 0 ? err.text : NULL);
    json_end_object(w);
    record_fini(&model_type, &model);
}

int evaluations_create(struct request *rq, struct err *err)
{
    const json_t *specs = json_object_get(rq->body, "model_specs");
    json_begin_object(&rq->json);
    json_add_key(&rq->json, "results");
    json_begin_array(&rq->json);
    size_t i;
    json_t *spec;
    json_array_foreach(specs, i, spec)
        write_result(rq, spec);
    json_end_array(&rq->json);
    json_end_object(&rq->json);
    return 0;
}
