/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/outlook.h"

#include "base/mem.h"
#include "sched/candidate.h"
#include "sched/outlook_priv.h"

#include <math.h>
#include <string.h>

/* What is kept of a node. Its arrays lie in outlook.lanes. */
struct row {
    struct offer offer; /* of all its devices together */
    lanes *room;
    struct outlook_class *of; /* NULL: without a class */
    uint64_t free_units;
    float fragments;
};

struct outlook {
    const struct inventory *inventory;
    double *weights, *rooms; /* by kind of the mix */
    struct outlook_class *classes[INVENTORY_CLASSES_MAX];
    struct row *rows; /* by node */
    lanes *lanes;
    bool are_prices_old;
};

/* A node after a claim, for all kinds of its class. */
struct after {
    lanes slots[OUTLOOK_STEPS_MAX], fits[OUTLOOK_STEPS_MAX], lost[OUTLOOK_STEPS_MAX];
    lanes host[OUTLOOK_STEPS_MAX]; /* see outlook_class_host() */
};

/* ---- what a node offers ---- */

static inline float sum_lanes(lanes a)
{
    return (a[0] + a[1]) + (a[2] + a[3]);
}

static inline lanes all_lanes(float a)
{
    return (lanes){a, a, a, a};
}

/* How many sets of devices there are for each kind of a step. */
static inline lanes sets_of(const struct outlook_class *of, const struct offer *offer, size_t i)
{
    if (i < of->single_steps)
        return offer->slots[i];
    lane_mask has_enough = offer->fits[i] >= of->devices[i];
    return lanes_quantise(lanes_choose(has_enough, offer->slots[i], offer->fits[i]) /
                          of->devices[i]);
}

struct value {
    float fragments; /* as a part of the cluster's units */
    float cost;      /* of the room that it has less than `before` */
};

/* What a step of kinds loses, for value_of(). Gives the room of its kinds. */
static inline lanes value_step(const struct outlook_class *of, const struct offer *offer,
                               const lanes *host, lanes all, size_t i, lanes *fragments)
{
    lanes count = lanes_least(sets_of(of, offer, i), host[i]);
    *fragments += of->weight[i] * lanes_choose(count >= 1.0f, offer->lost[i], all);
    return 0.5f * (lanes_round_down(count) + count);
}

/* What the offer is worth beside room as it was before. `all_units`: what is free. */
static struct value value_of(const struct outlook_class *of, const struct offer *offer,
                             const lanes *host, const lanes *before, float all_units)
{
    lanes fragments = {0}, cost = {0}, all = all_lanes(all_units);
    for (size_t i = 0; i < of->steps; i++)
        cost += of->price[i] * (before[i] - value_step(of, offer, host, all, i, &fragments));
    return (struct value){.fragments = sum_lanes(fragments) + (float)of->barred * all_units,
                          .cost = sum_lanes(cost)};
}

/* Adds to each kind what a device offers after a change. `to` may be `from`. */
static inline void change_offer(const struct outlook_class *of, const struct offer *from,
                                const struct offer *before, const struct offer *after,
                                struct offer *to)
{
    for (size_t i = 0; i < of->steps; i++) {
        to->slots[i] = from->slots[i] - before->slots[i] + after->slots[i];
        to->lost[i] = from->lost[i] - before->lost[i] + after->lost[i];
    }
    for (size_t i = of->single_steps; i < of->steps; i++)
        to->fits[i] = from->fits[i] - before->fits[i] + after->fits[i];
}

/* ---- keeping up ---- */

static void count_room(struct outlook *outlook, const struct row *row, double sign)
{
    const float *room = (const float *)row->room;
    for (size_t i = 0; i < row->of->steps * OUTLOOK_LANES; i++)
        if (row->of->kinds[i] != SIZE_MAX)
            outlook->rooms[row->of->kinds[i]] += sign * (double)room[i];
}

/* A device that isn't there offers as much as one without a free unit. */
static void measure(struct outlook *outlook, size_t node)
{
    struct row *row = &outlook->rows[node];
    const struct inventory_node *on = &outlook->inventory->nodes[node];
    const struct inventory_device *devices = inventory_devices(outlook->inventory, node);
    size_t bytes = row->of->steps * sizeof(lanes);
    lanes host[OUTLOOK_STEPS_MAX], fragments = {0};
    memset(row->offer.slots, 0, bytes);
    memset(row->offer.fits, 0, bytes);
    memset(row->offer.lost, 0, bytes);
    for (uint32_t i = 0; i < on->device_count; i++) {
        struct offer none, offer;
        outlook_class_offers(row->of, 0, devices[i].free, &none, &offer);
        change_offer(row->of, &row->offer, &none, &offer, &row->offer);
    }
    row->free_units = inventory_free_units(outlook->inventory, node);
    float all = (float)((double)row->free_units * row->of->unit_part);
    outlook_class_host(row->of, on->cpu_free, on->ram_free, host);
    for (size_t i = 0; i < row->of->steps; i++)
        row->room[i] = value_step(row->of, &row->offer, host, all_lanes(all), i, &fragments);
    row->fragments = sum_lanes(fragments) + (float)row->of->barred * all;
}

void outlook_update(struct outlook *outlook, size_t node)
{
    struct row *row = &outlook->rows[node];
    if (!row->of)
        return;
    count_room(outlook, row, -1);
    measure(outlook, node);
    count_room(outlook, row, 1);
    outlook->are_prices_old = true;
}

/*
 * The slope of weight x room^(1/4), for a cluster of one device. With the logarithm instead (power
 * 1) rare classes are kept even better, at the cost of processors: see doc/benchmarks.md. By square
 * roots, which are the same on every machine.
 */
static double price_of(double weight, double room, double devices)
{
    if (room <= 0)
        return 0; /* there is none to lose */
    double root = sqrt(devices / room);
    return weight * root * sqrt(root) / devices;
}

static void set_prices(struct outlook *outlook)
{
    double devices = (double)outlook->inventory->device_count;
    for (size_t c = 0; c < INVENTORY_CLASSES_MAX; c++) {
        struct outlook_class *of = outlook->classes[c];
        for (size_t i = 0; of && i < of->steps * OUTLOOK_LANES; i++) {
            size_t kind = of->kinds[i];
            if (kind != SIZE_MAX)
                ((float *)of->price)[i] = (float)price_of(outlook->weights[kind],
                                                          outlook->rooms[kind], devices);
        }
    }
    outlook->are_prices_old = false;
}

/* ---- scoring ---- */

/* What the class has left of a node's processors and memory when the claim is there. */
static void host_after(const struct outlook *outlook, size_t node, const struct demand *demand,
                       struct after *after)
{
    const struct inventory_node *on = &outlook->inventory->nodes[node];
    outlook_class_host(outlook->rows[node].of, on->cpu_free - demand->cpu,
                       on->ram_free - demand->ram, after->host);
}

static int64_t score_devices(const struct outlook *outlook, size_t node, uint64_t device_set,
                             uint64_t units, struct after *after)
{
    const struct row *row = &outlook->rows[node];
    const struct inventory_device *devices = inventory_devices(outlook->inventory, node);
    struct offer changed = {after->slots, after->fits, after->lost}, left = row->offer;
    uint64_t free_units = row->free_units;
    for (uint64_t more = device_set; more; more &= more - 1) {
        struct offer before, then;
        uint64_t free_now = devices[__builtin_ctzll(more)].free;
        outlook_class_offers(row->of, free_now, free_now - units, &before, &then);
        change_offer(row->of, &left, &before, &then, &changed);
        left = changed;
        free_units -= units;
    }
    float all = (float)((double)free_units * row->of->unit_part);
    struct value value = value_of(row->of, &left, after->host, row->room, all);
    double gain = (double)row->fragments - (double)value.fragments;
    return llrint(1e9 * (OUTLOOK_FRAGMENT_WEIGHT * gain - (double)value.cost));
}

int64_t outlook_score(struct outlook *outlook, const struct inventory_claim *claim)
{
    struct after after;
    if (!outlook->rows[claim->node].of)
        return 0;
    if (outlook->are_prices_old)
        set_prices(outlook);
    host_after(outlook, claim->node, &claim->demand, &after);
    return score_devices(outlook, claim->node, claim->device_set, claim->demand.units, &after);
}

static void consider(const struct outlook *outlook, size_t node, const struct demand *demand,
                     bool *is_found, struct outlook_choice *best)
{
    struct after after;
    struct candidates candidates;
    candidates_find(outlook->inventory, node, demand, &candidates);
    if (candidates.count && outlook->rows[node].of)
        host_after(outlook, node, demand, &after);
    for (size_t i = 0; i < candidates.count; i++) {
        uint64_t set = candidates.device_sets[i];
        int64_t score = 0; /* without devices of a class nothing is lost */
        if (outlook->rows[node].of)
            score = score_devices(outlook, node, set, demand->units, &after);
        if (*is_found && score <= best->score)
            continue;
        *is_found = true;
        best->score = score;
        best->claim = (struct inventory_claim){
            .demand = *demand, .node = (uint32_t)node, .device_set = set};
    }
}

int outlook_choose(struct outlook *outlook, const struct demand *demand,
                   struct outlook_choice *ret)
{
    struct outlook_choice best = {0};
    bool is_found = false;
    if (outlook->are_prices_old)
        set_prices(outlook);
    for (size_t node = 0; node < outlook->inventory->node_count; node++)
        consider(outlook, node, demand, &is_found, &best);
    if (!is_found)
        return -1;
    *ret = best;
    return 0;
}

double outlook_room(const struct outlook *outlook, size_t kind)
{
    return outlook->rooms[kind];
}

/* ---- making ---- */

static struct outlook_class *class_of(struct outlook *outlook, const struct mix *mix,
                                      uint32_t class_bit, double total_units)
{
    if (!class_bit)
        return NULL;
    struct outlook_class **slot = &outlook->classes[__builtin_ctz(class_bit)];
    if (!*slot)
        *slot = outlook_class_new(mix, class_bit, total_units);
    return *slot;
}

/* Gives each node its arrays, in one block. */
static void lay_out(struct outlook *outlook)
{
    size_t count = 0, used = 0;
    for (size_t n = 0; n < outlook->inventory->node_count; n++)
        count += outlook->rows[n].of ? 4 * outlook->rows[n].of->steps : 0;
    outlook->lanes = mem_alloc_array(count + 1, sizeof *outlook->lanes);
    for (size_t n = 0; n < outlook->inventory->node_count; n++) {
        struct row *row = &outlook->rows[n];
        if (!row->of)
            continue;
        lanes *first = outlook->lanes + used;
        size_t steps = row->of->steps;
        row->offer = (struct offer){first, first + steps, first + 2 * steps};
        row->room = first + 3 * steps;
        used += 4 * steps;
    }
}

struct outlook *outlook_new(const struct inventory *inventory, const struct mix *mix)
{
    struct outlook *outlook = mem_alloc(sizeof *outlook);
    double total = 0;
    for (size_t i = 0; i < inventory->device_count; i++)
        total += (double)inventory->devices[i].total;
    outlook->inventory = inventory;
    outlook->weights = mem_alloc_array(mix->count + 1, sizeof *outlook->weights);
    outlook->rooms = mem_alloc_array(mix->count + 1, sizeof *outlook->rooms);
    for (size_t i = 0; i < mix->count; i++)
        outlook->weights[i] = mix->kinds[i].weight;
    outlook->rows = mem_alloc_array(inventory->node_count + 1, sizeof *outlook->rows);
    for (size_t n = 0; n < inventory->node_count; n++)
        outlook->rows[n].of = class_of(outlook, mix, inventory->nodes[n].class_bit, total);
    lay_out(outlook);
    for (size_t n = 0; n < inventory->node_count; n++)
        outlook_update(outlook, n);
    return outlook;
}

void outlook_free(struct outlook *outlook)
{
    if (!outlook)
        return;
    for (size_t c = 0; c < INVENTORY_CLASSES_MAX; c++)
        outlook_class_free(outlook->classes[c]);
    free(outlook->weights);
    free(outlook->rooms);
    free(outlook->rows);
    free(outlook->lanes);
    free(outlook);
}
