/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include "base/log.h"
#include "control/events.h"
#include "control/model_routes.h"
#include "control/revisions.h"

int models_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_MODEL};
    return list_reply(rq, &view, err);
}

int models_get(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    return model ? reply_record(rq, KIND_MODEL, model) : no_such(rq, KIND_MODEL, err);
}

static int check_name(const struct request *rq, const struct model *model, struct err *err)
{
    const struct model *holder = cluster_model_by_name(rq->cluster, model->name);
    if (holder && holder->id != model->id)
        return err_set(err, ERR_EXISTS,
                       "there is a model %s already (id %lld); choose another name or change that "
                       "one",
                       model->name, (long long)holder->id);
    return 0;
}

int models_create(struct request *rq, struct err *err)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    int rc = record_read(&model_type, &fresh, rq->body, RECORD_CREATE, err);
    if (rc == 0)
        rc = model_validate(&fresh, err);
    if (rc == 0)
        rc = check_name(rq, &fresh, err);
    if (rc < 0) {
        record_fini(&model_type, &fresh);
        return rc;
    }
    fresh.generation = 1;
    int64_t now = control_now_ms(rq->control);
    const struct model *model = cluster_put(rq->cluster, KIND_MODEL, &fresh, now);
    revisions_keep(rq->cluster, model, now);
    log_info("model", "%s: created with %lld replicas", model->name, (long long)model->replicas);
    events_note(rq->cluster, KIND_MODEL, model, EVENT_CREATED, NULL, now,
                "created with %lld replicas", (long long)model->replicas);
    return reply_record(rq, KIND_MODEL, model);
}

static void note_scaling(struct request *rq, const struct model *before, const struct model *after,
                         int64_t now_ms)
{
    if (before->replicas == after->replicas)
        return;
    auto_free char *args = mem_printf("{\"from\":%lld,\"to\":%lld}", (long long)before->replicas,
                                      (long long)after->replicas);
    events_note(rq->cluster, KIND_MODEL, after, EVENT_SCALED, args, now_ms,
                "replicas set from %lld to %lld", (long long)before->replicas,
                (long long)after->replicas);
}

const struct model *models_put(struct request *rq, const struct model *model, struct model *copy)
{
    int64_t now_ms = control_now_ms(rq->control);
    bool is_new_generation = model_needs_restart(model, copy);
    copy->generation = model->generation + is_new_generation;
    if (copy->replicas > 0)
        copy->stopped_replicas = 0;
    version_grow(KIND_MODEL, model, copy);
    note_scaling(rq, model, copy, now_ms);
    /* A model of a version that kept no revisions has something to go back to, too. */
    if (is_new_generation && !number_index_find(&rq->cluster->revisions_of_model, model->id))
        revisions_keep(rq->cluster, model, now_ms);
    model = cluster_put(rq->cluster, KIND_MODEL, copy, now_ms);
    if (!is_new_generation)
        return model;
    revisions_keep(rq->cluster, model, now_ms);
    auto_free char *args = mem_printf("{\"generation\":%lld}", (long long)model->generation);
    events_note(rq->cluster, KIND_MODEL, model, EVENT_SETTINGS_CHANGED, args, now_ms,
                "settings changed, generation %lld", (long long)model->generation);
    return model;
}

int models_update(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    if (!model)
        return no_such(rq, KIND_MODEL, err);
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    int rc = version_check(rq, KIND_MODEL, model, err);
    if (rc == 0)
        rc = record_read(&model_type, &copy, rq->body, RECORD_MERGE, err);
    if (rc == 0)
        rc = model_validate(&copy, err);
    if (rc == 0)
        rc = check_name(rq, &copy, err);
    if (rc < 0) {
        record_fini(&model_type, &copy);
        return rc;
    }
    return reply_record(rq, KIND_MODEL, models_put(rq, model, &copy));
}

/* ---- stop and start ---- */

/* The model with this count of replicas; a stopped one keeps in mind how many it had. */
static int set_replicas(struct request *rq, int64_t replicas, int64_t stopped, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    int rc = version_check(rq, KIND_MODEL, model, err);
    if (rc < 0)
        return rc;
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.replicas = replicas;
    copy.stopped_replicas = stopped;
    return reply_record(rq, KIND_MODEL, models_put(rq, model, &copy));
}

int models_stop(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    if (!model)
        return no_such(rq, KIND_MODEL, err);
    return set_replicas(rq, 0, model->replicas ? model->replicas : model->stopped_replicas, err);
}

int models_start(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    if (!model)
        return no_such(rq, KIND_MODEL, err);
    int64_t before = model->stopped_replicas ? model->stopped_replicas : 1;
    return set_replicas(rq, model->replicas ? model->replicas : before, 0, err);
}

/* Of a name that clients use nobody may take the model away without knowing. */
static int leave_routes(struct request *rq, const struct model *model, struct err *err)
{
    bool cascade = false;
    int rc = request_query_bool(rq, "cascade", false, &cascade, err);
    auto_free char *routes = model_routes_of(rq->cluster, model->id);
    if (rc < 0 || !routes)
        return rc;
    if (!cascade)
        return err_set(err, ERR_CONFLICT,
                       "model %s serves the model routes %s: change these first, or delete it with "
                       "cascade=true, which takes it out of them",
                       model->name, routes);
    model_routes_drop(rq->cluster, model, control_now_ms(rq->control));
    return 0;
}

int models_delete(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    if (!model)
        return no_such(rq, KIND_MODEL, err);
    int rc = version_check(rq, KIND_MODEL, model, err);
    if (rc == 0)
        rc = leave_routes(rq, model, err);
    if (rc < 0)
        return rc;
    log_info("model", "%s: deleted", model->name);
    events_note(rq->cluster, KIND_MODEL, model, EVENT_DELETED, NULL, control_now_ms(rq->control),
                "deleted");
    cluster_delete(rq->cluster, KIND_MODEL, rq->id);
    json_add_null(&rq->json);
    return 0;
}

static bool is_of_model(struct request *rq, const void *record)
{
    return ((const struct model_instance *)record)->model_id == rq->id;
}

int models_instances(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_INSTANCE, .accept = is_of_model};
    if (!cluster_find(rq->cluster, KIND_MODEL, rq->id))
        return no_such(rq, KIND_MODEL, err);
    return list_reply(rq, &view, err);
}
