/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation of models before they are deployed, in GPUStack's shape. Control knows its workers, so
 * it tells of faults in the settings and of placement; what a model's files need is found out by
 * the worker that opens them, so there is no claim yet.
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

static void write_messages(struct json_writer *w, const char *key, const char *message)
{
    json_add_key(w, key);
    json_begin_array(w);
    if (message)
        json_add_cstring(w, message);
    json_end_array(w);
}

static void write_result(struct request *rq, const json_t *spec)
{
    struct model model = {0};
    struct err err = {0};
    int rc = read_spec(spec, &model, &err);
    auto_free char *refusal = rc == 0 ? control_explain_placement(rq->control, &model) : NULL;
    record_fini(&model_type, &model);
    struct json_writer *w = &rq->json;
    json_begin_object(w);
    json_put_bool(w, "compatible", rc == 0 && !refusal);
    write_messages(w, "compatibility_messages", rc < 0 ? err.text : NULL);
    write_messages(w, "scheduling_messages", refusal);
    json_add_key(w, "default_spec");
    json_add_null(w);
    json_add_key(w, "resource_claim");
    json_add_null(w);
    json_put_bool(w, "error", rc < 0);
    json_put_string(w, "error_message", rc < 0 ? err.text : NULL);
    json_end_object(w);
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
