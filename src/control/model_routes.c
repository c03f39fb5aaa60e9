/* SPDX-License-Identifier: Apache-2.0 */
#include "control/model_routes.h"

#include "base/log.h"
#include "control/events.h"
#include "domain/faults.h"

static void check_model(const struct cluster *cluster, const char *field, int64_t id,
                        struct faults *faults)
{
    if (!cluster_find(cluster, KIND_MODEL, id))
        faults_add(faults, field, "there is no model with id %lld", (long long)id);
}

int model_routes_check(const struct cluster *cluster, const struct model_route *route,
                       struct err *err)
{
    struct faults faults = {0};
    struct model_route_targets targets = model_route_targets(route);
    for (size_t i = 0; i < targets.count; i++)
        check_model(cluster, "targets", targets.items[i].model_id, &faults);
    if (route->fallback_model_id)
        check_model(cluster, "fallback_model_id", route->fallback_model_id, &faults);
    return faults_finish(&faults, err);
}

char *model_routes_of(const struct cluster *cluster, int64_t model_id)
{
    struct buf names = {0};
    CLUSTER_FOR_EACH(cluster, KIND_ROUTE, struct model_route, route) {
        if (model_route_names(route, model_id))
            buf_printf(&names, "%s%s", names.len ? ", " : "", route->name);
    }
    return names.len ? buf_take(&names) : NULL;
}

/* ---- a model that goes ---- */

static void take_out(struct model_route *route, int64_t model_id)
{
    struct model_route_targets before = model_route_targets(route), after = {0};
    for (size_t i = 0; i < before.count; i++)
        if (before.items[i].model_id != model_id)
            after.items[after.count++] = before.items[i];
    model_route_set_targets(route, &after);
    if (route->fallback_model_id == model_id)
        route->fallback_model_id = 0;
}

static void drop_from(struct cluster *cluster, const struct model_route *route,
                      const struct model *model, int64_t now_ms)
{
    struct model_route copy = {0};
    record_copy(&model_route_type, &copy, route);
    take_out(&copy, model->id);
    struct model_route_targets targets = model_route_targets(&copy);
    if (model_route_targets_serve(&targets)) {
        copy.version++;
        log_info("route", "%s: goes on without model %s", route->name, model->name);
        route = cluster_put(cluster, KIND_ROUTE, &copy, now_ms);
        events_note(cluster, KIND_ROUTE, route, EVENT_SETTINGS_CHANGED, NULL, now_ms,
                    "model %s was deleted", model->name);
        return;
    }
    record_fini(&model_route_type, &copy);
    log_info("route", "%s: deleted with model %s", route->name, model->name);
    events_note(cluster, KIND_ROUTE, route, EVENT_DELETED, NULL, now_ms,
                "deleted with its model %s", model->name);
    cluster_delete(cluster, KIND_ROUTE, route->id);
}

void model_routes_drop(struct cluster *cluster, const struct model *model, int64_t now_ms)
{
    const struct table *table = &cluster->tables[KIND_ROUTE];
    for (size_t i = table->count; i-- > 0;)
        if (model_route_names(table->rows[i], model->id))
            drop_from(cluster, table->rows[i], model, now_ms);
}
