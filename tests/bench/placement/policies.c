/* SPDX-License-Identifier: Apache-2.0 */
/* Ours and those that it is compared with. A score is higher for a better place; of equal ones the
 * first node and device count. */
#include "bench/placement/replay.h"

#include "base/mem.h"
#include "sched/candidate.h"
#include "sched/fragment.h"
#include "sched/outlook.h"
#include "sched/score.h"

#include <math.h>

/* Keeps the better claim. */
static void consider(struct inventory_claim *best, double *best_score, size_t node, uint64_t set,
                     double score)
{
    if (score <= *best_score)
        return;
    *best_score = score;
    best->node = (uint32_t)node;
    best->device_set = set;
}

static uint64_t free_after(const struct replay *replay, size_t node, const struct demand *demand)
{
    return inventory_free_units(&replay->inventory, node) - trace_units(demand);
}

/* Candidates for those who don't go by what is free: equal devices are all there. */
static void all_candidates(const struct inventory *inventory, size_t node,
                           const struct demand *demand, struct candidates *ret)
{
    const struct inventory_device *devices = inventory_devices(inventory, node);
    candidates_find(inventory, node, demand, ret);
    if (demand->devices != 1 || ret->count == 0)
        return;
    ret->count = 0;
    for (uint32_t i = 0; i < inventory->nodes[node].device_count; i++)
        if (devices[i].free >= demand->units)
            ret->device_sets[ret->count++] = UINT64_C(1) << i;
}

/* ---- random ---- */

static int choose_random(void *state, struct replay *replay, const struct trace_task *task,
                         struct inventory_claim *ret)
{
    struct candidates candidates;
    unsigned found = 0;
    for (size_t n = 0; n < replay->inventory.node_count; n++)
        if (inventory_fits(&replay->inventory, n, &task->demand) &&
            rng_between(&replay->rng, 0, found++) == 0)
            ret->node = (uint32_t)n;
    if (!found)
        return -1;
    all_candidates(&replay->inventory, ret->node, &task->demand, &candidates);
    int64_t last = (int64_t)candidates.count - 1;
    ret->device_set = candidates.device_sets[rng_between(&replay->rng, 0, last)];
    return 0;
}

/* ---- GPUStack 2, spread and binpack ---- */

static void widen(struct score_field *field, const struct inventory_company *company, bool is_first)
{
    if (is_first)
        *field = (struct score_field){company->same, company->same, company->others,
                                      company->others};
    field->same_min = company->same < field->same_min ? company->same : field->same_min;
    field->same_max = company->same > field->same_max ? company->same : field->same_max;
    field->others_min = company->others < field->others_min ? company->others : field->others_min;
    field->others_max = company->others > field->others_max ? company->others : field->others_max;
}

static double spread_of(const struct inventory_company *company, uint64_t device_set,
                        const struct score_field *field)
{
    unsigned same_on[INVENTORY_DEVICES_MAX], others_on[INVENTORY_DEVICES_MAX];
    struct score_worker worker = {.same = company->same, .others = company->others,
                                  .same_on = same_on, .others_on = others_on};
    for (; device_set; device_set &= device_set - 1) {
        int device = __builtin_ctzll(device_set);
        same_on[worker.device_count] = company->same_on[device];
        others_on[worker.device_count++] = company->others_on[device];
    }
    return score_spread_among(&worker, field);
}

static void spread_on_node(const struct replay *replay, size_t node, const struct trace_task *task,
                           const struct score_field *field, struct inventory_claim *best,
                           double *best_score)
{
    struct inventory_company company;
    struct candidates candidates;
    inventory_count(&replay->inventory, node, task->shape, &company);
    all_candidates(&replay->inventory, node, &task->demand, &candidates);
    for (size_t i = 0; i < candidates.count; i++)
        consider(best, best_score, node, candidates.device_sets[i],
                 spread_of(&company, candidates.device_sets[i], field));
}

static int choose_spread(void *state, struct replay *replay, const struct trace_task *task,
                         struct inventory_claim *ret)
{
    struct score_field field = {0};
    bool is_first = true;
    double best = -INFINITY;
    for (size_t n = 0; n < replay->inventory.node_count; n++) {
        struct inventory_company company;
        if (!inventory_fits(&replay->inventory, n, &task->demand))
            continue;
        inventory_count(&replay->inventory, n, task->shape, &company);
        widen(&field, &company, is_first);
        is_first = false;
    }
    for (size_t n = 0; n < replay->inventory.node_count && !is_first; n++)
        if (inventory_fits(&replay->inventory, n, &task->demand))
            spread_on_node(replay, n, task, &field, ret, &best);
    return is_first ? -1 : 0;
}

static int choose_binpack(void *state, struct replay *replay, const struct trace_task *task,
                          struct inventory_claim *ret)
{
    const struct demand *demand = &task->demand;
    double best = -INFINITY;
    for (size_t n = 0; n < replay->inventory.node_count; n++) {
        const struct inventory_device *devices = inventory_devices(&replay->inventory, n);
        struct candidates candidates;
        candidates_find(&replay->inventory, n, demand, &candidates);
        for (size_t i = 0; i < candidates.count; i++) {
            uint64_t set = candidates.device_sets[i];
            double ram = (double)demand->ram / (double)replay->inventory.nodes[n].ram_free;
            double part = set ? (double)demand->units / (double)devices[__builtin_ctzll(set)].free
                              : ram; /* without devices it is memory alone */
            consider(ret, &best, n, set, score_binpack_device(ram, part));
        }
    }
    return isinf(best) ? -1 : 0;
}

/* ---- best fit ---- */

/* The least of processors and devices left, each relative to the largest node. */
static int choose_best_fit(void *state, struct replay *replay, const struct trace_task *task,
                           struct inventory_claim *ret)
{
    const double cpu_max = 128000, units_max = 8 * TRACE_DEVICE_UNITS;
    double best = -INFINITY;
    for (size_t n = 0; n < replay->inventory.node_count; n++) {
        const struct inventory_device *devices = inventory_devices(&replay->inventory, n);
        struct candidates candidates;
        candidates_find(&replay->inventory, n, &task->demand, &candidates);
        if (candidates.count == 0)
            continue;
        uint64_t set = candidates.device_sets[0];
        for (size_t i = 1; i < candidates.count; i++)
            if (devices[__builtin_ctzll(candidates.device_sets[i])].free <
                devices[__builtin_ctzll(set)].free)
                set = candidates.device_sets[i];
        double cpu = (double)(replay->inventory.nodes[n].cpu_free - task->demand.cpu) / cpu_max;
        double units = (double)free_after(replay, n, &task->demand) / units_max;
        consider(ret, &best, n, set, -(cpu + units) / 2);
    }
    return isinf(best) ? -1 : 0;
}

/* ---- fragmentation gradient, as published ---- */

struct fgd_place {
    uint64_t device_set;
    uint32_t version; /* of the node, plus one */
    int32_t score;    /* -1: it doesn't fit */
};

/* Scores by shape and node, looked at again when the node has changed. */
static void *start_fgd(struct replay *replay)
{
    return mem_alloc_array(replay->inventory.node_count * replay->trace->shape_count,
                           sizeof(struct fgd_place));
}

static void score_fgd(struct replay *replay, size_t node, const struct trace_task *task,
                      struct fgd_place *ret)
{
    struct candidates candidates;
    ret->version = replay->inventory.nodes[node].version + 1;
    ret->score = -1;
    candidates_find(&replay->inventory, node, &task->demand, &candidates);
    for (size_t i = 0; i < candidates.count; i++) {
        struct inventory_claim claim = {.demand = task->demand, .node = (uint32_t)node,
                                        .device_set = candidates.device_sets[i]};
        double gradient = fragment_gradient(&replay->inventory, &claim, replay->mix);
        int32_t score = (int32_t)(100 / (1 + exp(gradient / TRACE_DEVICE_UNITS)));
        if (score > ret->score) {
            ret->score = score;
            ret->device_set = claim.device_set;
        }
    }
    ret->version = replay->inventory.nodes[node].version + 1; /* it was tried there */
}

static int choose_fgd(void *state, struct replay *replay, const struct trace_task *task,
                      struct inventory_claim *ret)
{
    struct fgd_place *places =
        (struct fgd_place *)state + replay->inventory.node_count * task->shape;
    double best = -1;
    for (size_t n = 0; n < replay->inventory.node_count; n++) {
        if (places[n].version != replay->inventory.nodes[n].version + 1)
            score_fgd(replay, n, task, &places[n]);
        consider(ret, &best, n, places[n].device_set, places[n].score);
    }
    return best < 0 ? -1 : 0;
}

/* ---- ours ---- */

static void *start_outlook(struct replay *replay)
{
    return outlook_new(&replay->inventory, replay->mix);
}

static int choose_outlook(void *state, struct replay *replay, const struct trace_task *task,
                          struct inventory_claim *ret)
{
    struct outlook_choice choice;
    if (outlook_choose(state, &task->demand, &choice) < 0)
        return -1;
    *ret = choice.claim;
    return 0;
}

static void update_outlook(void *state, const struct inventory_claim *claim)
{
    outlook_update(state, claim->node);
}

static void end_outlook(void *state)
{
    outlook_free(state);
}

const struct policy policies[] = {
    {.name = "random", .choose = choose_random},
    {.name = "spread", .choose = choose_spread},
    {.name = "binpack", .choose = choose_binpack},
    {.name = "best_fit", .choose = choose_best_fit},
    {.name = "fgd", .start = start_fgd, .choose = choose_fgd, .end = free},
    {.name = "outlook", .start = start_outlook, .choose = choose_outlook,
     .placed = update_outlook, .end = end_outlook, .of_units = MIX_COVERAGE},
};
const size_t policy_count = ARRAY_LEN(policies);
