/* SPDX-License-Identifier: Apache-2.0 */
/* Model routes: names that clients may write, and the models that their requests go to. */
#include "control/model_routes.h"

#include "api/api_priv.h"
#include "base/log.h"
#include "control/events.h"

int model_routes_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_ROUTE};
    return list_reply(rq, &view, err);
}

int model_routes_get(struct request *rq, struct err *err)
{
    const struct model_route *route = cluster_find(rq->cluster, KIND_ROUTE, rq->id);
    return route ? reply_record(rq, KIND_ROUTE, route) : no_such(rq, KIND_ROUTE, err);
}

/* ---- writing ---- */

static int check_name(const struct request *rq, const struct model_route *route, struct err *err)
{
    const struct model_route *holder = cluster_route_by_name(rq->cluster, route->name);
    if (holder && holder->id != route->id)
        return err_set(err, ERR_EXISTS,
                       "there is a model route %s already (id %lld); choose another name or change "
                       "that one",
                       route->name, (long long)holder->id);
    return 0;
}

/* Checks what was read, and brings its targets into their one shape. */
static int check_route(const struct request *rq, struct model_route *route, struct err *err)
{
    int rc = model_route_validate(route, err);
    if (rc == 0)
        rc = model_routes_check(rq->cluster, route, err);
    if (rc == 0)
        rc = check_name(rq, route, err);
    if (rc < 0)
        return rc;
    struct model_route_targets targets = model_route_targets(route);
    model_route_set_targets(route, &targets);
    return 0;
}

int model_routes_create(struct request *rq, struct err *err)
{
    struct model_route fresh = {0};
    record_init(&model_route_type, &fresh);
    int rc = record_read(&model_route_type, &fresh, rq->body, RECORD_CREATE, err);
    if (rc == 0)
        rc = check_route(rq, &fresh, err);
    if (rc < 0) {
        record_fini(&model_route_type, &fresh);
        return rc;
    }
    int64_t now_ms = control_now_ms(rq->control);
    const struct model_route *route = cluster_put(rq->cluster, KIND_ROUTE, &fresh, now_ms);
    log_info("route", "%s: created", route->name);
    events_note(rq->cluster, KIND_ROUTE, route, EVENT_CREATED, NULL, now_ms, "created");
    return reply_record(rq, KIND_ROUTE, route);
}

/* Puts the changed copy in the route's place; empties it. */
static int put_route(struct request *rq, const struct model_route *route, struct model_route *copy)
{
    int64_t now_ms = control_now_ms(rq->control), before = route->version;
    version_grow(KIND_ROUTE, route, copy);
    route = cluster_put(rq->cluster, KIND_ROUTE, copy, now_ms);
    if (route->version != before)
        events_note(rq->cluster, KIND_ROUTE, route, EVENT_SETTINGS_CHANGED, NULL, now_ms,
                    "changed, version %lld", (long long)route->version);
    return reply_record(rq, KIND_ROUTE, route);
}

/* Merges the members of `changes` into the route. */
static int change(struct request *rq, const struct model_route *route, const json_t *changes,
                  struct err *err)
{
    struct model_route copy = {0};
    record_copy(&model_route_type, &copy, route);
    int rc = version_check(rq, KIND_ROUTE, route, err);
    if (rc == 0)
        rc = record_read(&model_route_type, &copy, changes, RECORD_MERGE, err);
    if (rc == 0)
        rc = check_route(rq, &copy, err);
    if (rc == 0)
        return put_route(rq, route, &copy);
    record_fini(&model_route_type, &copy);
    return rc;
}

int model_routes_update(struct request *rq, struct err *err)
{
    const struct model_route *route = cluster_find(rq->cluster, KIND_ROUTE, rq->id);
    return route ? change(rq, route, rq->body, err) : no_such(rq, KIND_ROUTE, err);
}

/* {"targets": those that the route has, and `more` behind them}. Returns owned. */
static json_t *with_targets(const struct model_route *route, json_t *more)
{
    json_t *changes = json_object(), *targets = NULL;
    if (json_read(str_of(route->targets), &targets, NULL) == 0)
        json_array_extend(targets, more);
    json_object_set_new(changes, "targets", targets);
    return changes;
}

int model_routes_add_targets(struct request *rq, struct err *err)
{
    const struct model_route *route = cluster_find(rq->cluster, KIND_ROUTE, rq->id);
    if (!route)
        return no_such(rq, KIND_ROUTE, err);
    auto_fini(json_release) json_t *changes =
        with_targets(route, json_object_get(rq->body, "targets"));
    return change(rq, route, changes, err);
}

int model_routes_delete(struct request *rq, struct err *err)
{
    const struct model_route *route = cluster_find(rq->cluster, KIND_ROUTE, rq->id);
    if (!route)
        return no_such(rq, KIND_ROUTE, err);
    int rc = version_check(rq, KIND_ROUTE, route, err);
    if (rc < 0)
        return rc;
    log_info("route", "%s: deleted", route->name);
    events_note(rq->cluster, KIND_ROUTE, route, EVENT_DELETED, NULL, control_now_ms(rq->control),
                "deleted");
    cluster_delete(rq->cluster, KIND_ROUTE, rq->id);
    json_add_null(&rq->json);
    return 0;
}
