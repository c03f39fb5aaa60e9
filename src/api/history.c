/* SPDX-License-Identifier: Apache-2.0 */
/* What was: events of all objects, revisions of a model, and the way back to one. */
#include "api/api_priv.h"

#include "base/log.h"
#include "control/events.h"
#include "control/revisions.h"

int events_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_EVENT};
    return list_reply(rq, &view, err);
}

static bool is_of_model(struct request *rq, const void *record)
{
    return ((const struct model_revision *)record)->model_id == rq->id;
}

int models_revisions(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_REVISION, .accept = is_of_model};
    if (!cluster_find(rq->cluster, KIND_MODEL, rq->id))
        return no_such(rq, KIND_MODEL, err);
    return list_reply(rq, &view, err);
}

static void note_rollback(struct request *rq, const struct model *model, int64_t to)
{
    auto_free char *args = mem_printf("{\"to\":%lld,\"generation\":%lld}", (long long)to,
                                      (long long)model->generation);
    log_info("model", "%s: rolled back, generation %lld", model->name,
             (long long)model->generation);
    events_note(rq->cluster, KIND_MODEL, model, EVENT_ROLLED_BACK, args,
                control_now_ms(rq->control), "rolled back, generation %lld",
                (long long)model->generation);
}

/* Body {"generation":N}, or none for the settings before the present ones. */
int models_rollback(struct request *rq, struct err *err)
{
    const struct model *model = cluster_find(rq->cluster, KIND_MODEL, rq->id);
    if (!model)
        return no_such(rq, KIND_MODEL, err);
    int64_t to = rq->body ? json_member_int(rq->body, "generation", 0) : 0;
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    int rc = version_check(rq, KIND_MODEL, model, err);
    if (rc == 0)
        rc = revisions_restore(rq->cluster, &copy, to, err);
    if (rc < 0) {
        record_fini(&model_type, &copy);
        return rc;
    }
    model = models_put(rq, model, &copy);
    note_rollback(rq, model, to);
    return reply_record(rq, KIND_MODEL, model);
}
