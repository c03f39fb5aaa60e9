/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: what administrators see, and the workers' own side (see ARCHITECTURE.md, protocols). */
#include "api/api_priv.h"

#include "base/log.h"
#include "control/events.h"
#include "control/fleet.h"
#include "control/liveness.h"

#include <ctype.h>

int workers_list(struct request *rq, struct err *err)
{
    static const struct list_alias aliases[] = {{"uuid", "worker_uuid"}, {0}};
    static const struct list_view view = {.kind = KIND_WORKER, .aliases = aliases};
    return list_reply(rq, &view, err);
}

int workers_get(struct request *rq, struct err *err)
{
    const struct worker *worker = cluster_find(rq->cluster, KIND_WORKER, rq->id);
    if (!worker)
        return no_such(rq, KIND_WORKER, err);
    return reply_record(rq, KIND_WORKER, worker);
}

/* Whether the change concerns the worker's maintenance; notes it as an event. */
static bool note_maintenance(struct request *rq, const struct worker *before,
                             const struct worker *after, int64_t now_ms)
{
    struct maintenance was = worker_maintenance(before), is = worker_maintenance(after);
    if (was.is_on == is.is_on && was.drains == is.drains)
        return false;
    auto_free char *args = mem_printf("{\"enabled\":%s,\"drain\":%s}", is.is_on ? "true" : "false",
                                      is.drains ? "true" : "false");
    events_note(rq->cluster, KIND_WORKER, before, EVENT_MAINTENANCE, args, now_ms, "%s",
                is.drains  ? "in maintenance; its instances move away"
                : is.is_on ? "in maintenance; it takes no new instances"
                           : "maintenance has ended");
    return true;
}

int workers_update(struct request *rq, struct err *err)
{
    const struct worker *worker = cluster_find(rq->cluster, KIND_WORKER, rq->id);
    if (!worker)
        return no_such(rq, KIND_WORKER, err);
    struct worker copy = {0};
    record_copy(&worker_type, &copy, worker);
    int rc = version_check(rq, KIND_WORKER, worker, err);
    if (rc == 0)
        rc = record_read(&worker_type, &copy, rq->body, RECORD_MERGE, err);
    if (rc == 0)
        rc = worker_validate(&copy, err);
    if (rc < 0) {
        record_fini(&worker_type, &copy);
        return rc;
    }
    version_grow(KIND_WORKER, worker, &copy);
    int64_t now_ms = control_now_ms(rq->control);
    bool is_maintained = note_maintenance(rq, worker, &copy, now_ms);
    worker = cluster_put(rq->cluster, KIND_WORKER, &copy, now_ms);
    if (is_maintained)
        liveness_settle(rq->cluster, worker, now_ms, false);
    return reply_record(rq, KIND_WORKER, worker);
}

int workers_delete(struct request *rq, struct err *err)
{
    const struct worker *worker = cluster_find(rq->cluster, KIND_WORKER, rq->id);
    if (!worker)
        return no_such(rq, KIND_WORKER, err);
    int rc = version_check(rq, KIND_WORKER, worker, err);
    if (rc < 0)
        return rc;
    log_info("worker", "%s: deleted", worker->name);
    events_note(rq->cluster, KIND_WORKER, worker, EVENT_DELETED, NULL, control_now_ms(rq->control),
                "deleted through the API");
    cluster_delete(rq->cluster, KIND_WORKER, rq->id);
    json_add_null(&rq->json);
    return 0;
}

/* ---- how a worker joins ---- */

/* Only what a host and port are written with: people paste it into a shell. */
static bool is_host(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum((unsigned char)text.ptr[i]) && !memchr(".-_:[]", text.ptr[i], 6))
            return false;
    return text.len > 0;
}

/* The address by which the caller has reached the gateway, or NULL. Owned. */
static char *server_url(const struct request *rq)
{
    const struct http_headers *headers = &http_exchange_head(rq->ex)->headers;
    struct str host = http_headers_get(headers, "X-Forwarded-Host");
    host.len = str_find(host, ','); /* of several proxies the first has heard it from the client */
    host = str_trim(host);
    bool is_https = str_eq_nocase(http_headers_get(headers, "X-Forwarded-Proto"), STR("https"));
    return is_host(host) ? mem_printf("http%s://%.*s", is_https ? "s" : "", STR_ARGS(host)) : NULL;
}

int workers_join(struct request *rq, struct err *err)
{
    auto_free char *url = server_url(rq);
    log_info("worker", "the cluster token was shown to administrator %s",
             request_user(rq)->username);
    rq->is_secret = true;
    json_begin_object(&rq->json);
    json_put_string(&rq->json, "server_url", url);
    json_put_string(&rq->json, "token", control_cluster_token(rq->control));
    json_put_string(&rq->json, "version", GPUSTACK_VERSION);
    json_end_object(&rq->json);
    return 0;
}

/* ---- the workers' own side ---- */

int workers_register(struct request *rq, struct err *err)
{
    struct worker *worker;
    int64_t session;
    int rc = fleet_register(control_fleet(rq->control), rq->body, &worker, &session, err);
    if (rc < 0)
        return rc;
    char *token = cluster_worker_token(rq->cluster, worker);
    json_begin_object(&rq->json);
    json_put_int(&rq->json, "id", worker->id);
    json_put_string(&rq->json, "name", worker->name);
    json_put_string(&rq->json, "token", token);
    json_put_string(&rq->json, "cluster_id", rq->cluster->id);
    json_put_int(&rq->json, "session", session);
    json_end_object(&rq->json);
    mem_free_secret(token);
    return 0;
}

int workers_desired(struct request *rq, struct err *err)
{
    if (rq->id != rq->caller.worker_id)
        return err_set(err, ERR_FORBIDDEN, "this token belongs to worker %lld, not %lld",
                       (long long)rq->caller.worker_id, (long long)rq->id);
    const struct worker *worker = cluster_find(rq->cluster, KIND_WORKER, rq->id);
    fleet_subscribe(control_fleet(rq->control), worker, rq->ex);
    return request_take(rq);
}

int workers_status(struct request *rq, struct err *err)
{
    int rc = fleet_report(control_fleet(rq->control), rq->caller.worker_id, rq->body, err);
    if (rc < 0)
        return rc;
    rq->status = 204;
    /* The worker repeats its whole state anyway, so its report need not wait for the disk. */
    rq->changes_before = control_change_count(rq->control);
    return 0;
}
