/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/model_route.h"

#include "domain/model_priv.h"
#include "domain/shape.h"

#define FIELD(member) FIELD_OF(struct model_route, member)

static const struct field fields[] = {
    {FIELD(id), .kind = FIELD_ID, .flags = FIELD_READ_ONLY},
    {FIELD(name), .kind = FIELD_STRING, .flags = FIELD_REQUIRED, .max = MODEL_NAME_MAX},
    {FIELD(description), .kind = FIELD_STRING},
    {FIELD(categories), .kind = FIELD_STRINGS, .max = 16},
    {FIELD(targets), .kind = FIELD_JSON, .flags = FIELD_REQUIRED},
    {FIELD(fallback_model_id), .kind = FIELD_INT, .flags = FIELD_NULLABLE, .max = INT64_MAX},
    {FIELD(version), .kind = FIELD_INT, .flags = FIELD_READ_ONLY, .max = INT64_MAX,
     .fallback = "1"},
    {FIELD(created_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
    {FIELD(updated_at), .kind = FIELD_TIME, .flags = FIELD_READ_ONLY},
};

const struct record_type model_route_type = {
    .noun = "model-route",
    .table = "model_routes",
    .size = sizeof(struct model_route),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
};

/* ---- targets ---- */

static struct model_route_target read_target(const json_t *object)
{
    struct model_route_target target = {.weight = ROUTE_WEIGHT_DEFAULT};
    (void)json_take_integer(json_object_get(object, "model_id"), &target.model_id);
    (void)json_take_integer(json_object_get(object, "weight"), &target.weight);
    return target;
}

struct model_route_targets model_route_targets(const struct model_route *route)
{
    struct model_route_targets targets = {0};
    auto_fini(json_release) json_t *root = NULL;
    if (!route->targets || json_read(str_of(route->targets), &root, NULL) < 0)
        return targets;
    size_t i;
    json_t *object;
    json_array_foreach(root, i, object) {
        if (targets.count < ROUTE_TARGETS_MAX)
            targets.items[targets.count++] = read_target(object);
    }
    return targets;
}

void model_route_set_targets(struct model_route *route, const struct model_route_targets *targets)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_array(&w);
    for (size_t i = 0; i < targets->count; i++) {
        json_begin_object(&w);
        json_put_int(&w, "model_id", targets->items[i].model_id);
        json_put_int(&w, "weight", targets->items[i].weight);
        json_end_object(&w);
    }
    json_end_array(&w);
    free(route->targets);
    route->targets = buf_take(&text);
}

bool model_route_targets_serve(const struct model_route_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].weight > 0)
            return true;
    return false;
}

bool model_route_names(const struct model_route *route, int64_t model_id)
{
    struct model_route_targets targets = model_route_targets(route);
    bool is_named = route->fallback_model_id == model_id;
    for (size_t i = 0; i < targets.count; i++)
        is_named = is_named || targets.items[i].model_id == model_id;
    return is_named;
}

/* ---- validation ---- */

static void check_doubles(const struct model_route_targets *targets, struct faults *faults)
{
    for (size_t i = 1; i < targets->count; i++)
        for (size_t k = 0; k < i; k++)
            if (targets->items[i].model_id == targets->items[k].model_id)
                faults_add(faults, "targets", "must not name model %lld twice",
                           (long long)targets->items[i].model_id);
}

static void check_targets(const struct model_route *route, struct faults *faults)
{
    static const struct shape_member target[] = {
        {"model_id", .kind = SHAPE_INT, .is_required = true, .min = 1, .max = INT64_MAX},
        {"weight", .kind = SHAPE_INT, .max = ROUTE_WEIGHT_MAX},
        {0},
    };
    unsigned before = faults->count;
    shape_check_list("targets", route->targets, target, ROUTE_TARGETS_MAX, faults);
    if (faults->count > before)
        return;
    struct model_route_targets targets = model_route_targets(route);
    if (targets.count == 0)
        faults_add(faults, "targets", "must have 1-%d models", ROUTE_TARGETS_MAX);
    else if (!model_route_targets_serve(&targets))
        faults_add(faults, "targets", "must have a weight above 0 in one of them at least");
    check_doubles(&targets, faults);
}

int model_route_validate(const struct model_route *route, struct err *err)
{
    struct faults faults = {0};
    model_check_name(route->name, &faults);
    model_check_categories(&route->categories, &faults);
    check_targets(route, &faults);
    return faults_finish(&faults, err);
}
