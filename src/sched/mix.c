/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/mix.h"

#include "base/mem.h"

#include <string.h>

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_demands(const struct demand *a, const struct demand *b)
{
    int order = compare_u64(a->devices, b->devices);
    order = order ? order : compare_u64(a->units, b->units);
    order = order ? order : compare_u64(a->cpu, b->cpu);
    order = order ? order : compare_u64(a->ram, b->ram);
    return order ? order : compare_u64(a->class_set, b->class_set);
}

/* By falling weight; equal ones by what they are, so that the order they came in doesn't count. */
static int compare_kinds(const void *one, const void *other)
{
    const struct mix_kind *a = one, *b = other;
    int order = (a->weight < b->weight) - (a->weight > b->weight);
    return order ? order : compare_demands(&a->demand, &b->demand);
}

void mix_add(struct mix *mix, const struct demand *demand, double weight)
{
    for (size_t i = 0; i < mix->count; i++) {
        if (compare_demands(&mix->kinds[i].demand, demand) == 0) {
            mix->kinds[i].weight += weight;
            return;
        }
    }
    mix->kinds = mem_resize(mix->kinds, (mix->count + 1) * sizeof *mix->kinds);
    mix->kinds[mix->count++] = (struct mix_kind){.demand = *demand, .weight = weight};
}

void mix_add_prior(struct mix *mix, const struct inventory *inventory)
{
    uint64_t largest[INVENTORY_CLASSES_MAX] = {0};
    for (size_t n = 0; n < inventory->node_count; n++) {
        const struct inventory_node *node = &inventory->nodes[n];
        const struct inventory_device *devices = inventory_devices(inventory, n);
        for (uint32_t i = 0; i < node->device_count && node->class_bit; i++) {
            uint64_t *of_class = &largest[__builtin_ctz(node->class_bit)];
            *of_class = devices[i].total > *of_class ? devices[i].total : *of_class;
        }
    }
    for (unsigned c = 0; c < INVENTORY_CLASSES_MAX; c++) {
        struct demand demand = {.class_set = UINT32_C(1) << c, .devices = 1};
        for (unsigned part = 8; part > 1 && largest[c] >= 8; part /= 2) {
            demand.units = largest[c] / part;
            mix_add(mix, &demand, 1);
        }
        demand.units = largest[c];
        for (demand.devices = 1; demand.devices <= 8 && largest[c]; demand.devices *= 2)
            mix_add(mix, &demand, 1);
    }
}

static double units_of(const struct mix_kind *kind)
{
    return kind->weight * (double)kind->demand.units * kind->demand.devices;
}

/* Brings the largest of those from `at` on to `at`; the order of the others stays. */
static void bring_largest(struct mix *mix, size_t at)
{
    size_t best = at;
    for (size_t i = at; i < mix->count; i++)
        if (units_of(&mix->kinds[i]) > units_of(&mix->kinds[best]))
            best = i;
    struct mix_kind kind = mix->kinds[best];
    memmove(&mix->kinds[at + 1], &mix->kinds[at], (best - at) * sizeof kind);
    mix->kinds[at] = kind;
}

void mix_finish(struct mix *mix, double of_weight, double of_units)
{
    double weight = 0, units = 0, kept = 0, kept_units = 0;
    size_t count = 0;
    if (mix->count == 0)
        return;
    for (size_t i = 0; i < mix->count; i++) {
        weight += mix->kinds[i].weight;
        units += units_of(&mix->kinds[i]);
    }
    qsort(mix->kinds, mix->count, sizeof *mix->kinds, compare_kinds);
    while (count < mix->count && count < MIX_KINDS_MAX) {
        if (kept >= of_weight * weight && kept_units >= of_units * units)
            break;
        if (kept >= of_weight * weight)
            bring_largest(mix, count);
        kept += mix->kinds[count].weight;
        kept_units += units_of(&mix->kinds[count++]);
    }
    mix->count = count;
    for (size_t i = 0; i < count; i++)
        mix->kinds[i].weight /= kept;
}

void mix_fini(struct mix *mix)
{
    free(mix->kinds);
    *mix = (struct mix){0};
}
