/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/targets.h"

#include <assert.h>

static void add(struct targets *targets, struct entry *model)
{
    for (unsigned i = 0; i < targets->count; i++)
        if (targets->models[i]->id == model->id)
            return;
    if (targets->count < TARGETS_MAX)
        targets->models[targets->count++] = model;
}

/* ---- a route's first target ---- */

static unsigned total_weight(const struct route_entry *route)
{
    unsigned total = 0;
    for (size_t i = 0; i < route->target_count; i++)
        total += route->targets[i].weight;
    return total;
}

/*
 * A place in [0, total) for each turn. Multiples of the golden ratio, taken modulo one, fill the
 * interval more evenly than any other sequence, so that after N turns each target has its share of
 * N but for a few, however the turns are dealt out between routes.
 */
static unsigned place_of(unsigned turn, unsigned total)
{
    static const uint32_t golden = 2654435769u; /* 2^32 / 1.618... */
    return (unsigned)((uint64_t)(uint32_t)(turn * golden) * total >> 32);
}

static const struct route_target *choose(const struct route_entry *route, unsigned turn)
{
    unsigned total = total_weight(route);
    if (total == 0)
        return NULL;
    unsigned place = place_of(turn, total);
    for (size_t i = 0; i < route->target_count; i++) {
        if (place < route->targets[i].weight)
            return &route->targets[i];
        place -= route->targets[i].weight;
    }
    assert(false);
    return NULL;
}

/* ---- the order ---- */

static void add_by_id(const struct snapshot *snapshot, int64_t id, struct targets *ret)
{
    struct entry *model = id ? snapshot_model_by_id(snapshot, id) : NULL;
    if (model)
        add(ret, model);
}

/* The heaviest first; room is left for the fallback. */
static void add_others(const struct snapshot *snapshot, const struct route_entry *route,
                       struct targets *ret)
{
    for (unsigned weight = ENTRY_WEIGHT_MAX; weight > 0; weight--)
        for (size_t i = 0; i < route->target_count && ret->count < TARGETS_MAX - 1; i++)
            if (route->targets[i].weight == weight)
                add_by_id(snapshot, route->targets[i].model_id, ret);
}

static void resolve_route(const struct snapshot *snapshot, const struct route_entry *route,
                          unsigned turn, struct targets *ret)
{
    const struct route_target *first = choose(route, turn);
    if (first)
        add_by_id(snapshot, first->model_id, ret);
    add_others(snapshot, route, ret);
    add_by_id(snapshot, route->fallback_model_id, ret);
}

bool targets_find(const struct snapshot *snapshot, const char *name, unsigned turn,
                  struct targets *ret)
{
    const struct entry *route = snapshot_route(snapshot, str_of(name));
    struct entry *model = route ? NULL : snapshot_model(snapshot, str_of(name));
    ret->count = 0;
    if (route)
        resolve_route(snapshot, &route->route, turn, ret);
    else if (model)
        add(ret, model);
    return ret->count > 0;
}

bool targets_are_wanted(const struct snapshot *snapshot, const struct targets *targets)
{
    for (unsigned i = 0; i < targets->count; i++) {
        const struct entry *model = snapshot_model_by_id(snapshot, targets->models[i]->id);
        if (model && !model->model.is_stopped)
            return true;
    }
    return false;
}

bool targets_are_served(const struct snapshot *snapshot, const struct targets *targets)
{
    for (unsigned i = 0; i < targets->count; i++)
        if (snapshot_endpoints(snapshot, targets->models[i]->id).count)
            return true;
    return false;
}
