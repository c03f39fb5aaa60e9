/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/outlook_priv.h"

#include "base/mem.h"

/* What a kind that asks nothing of something is taken to ask, to divide by it; and what is taken to
 * be there when nothing is, which is as good as nothing to all other kinds. */
static const double almost_nothing = 1e-9, hardly_anything = 1e-4;

static bool may_run(const struct demand *demand, uint32_t class_bit)
{
    return demand->devices && (!demand->class_set || (demand->class_set & class_bit));
}

static double at_least(uint64_t asked)
{
    return asked ? (double)asked : almost_nothing;
}

static double has(uint64_t free_amount)
{
    return free_amount ? (double)free_amount : hardly_anything;
}

static void set_kind(struct outlook_class *of, size_t at, size_t index, const struct mix_kind *kind)
{
    const struct demand *demand = &kind->demand;
    of->kinds[at] = index;
    of->ram[at] = at_least(demand->ram);
    of->units[at] = at_least(demand->units);
    of->asks_ram |= demand->ram > 0;
    ((float *)of->cpu)[at] = (float)at_least(demand->cpu);
    ((float *)of->weight)[at] = (float)kind->weight;
    ((float *)of->devices)[at] = (float)demand->devices;
}

/* Nobody's kinds: no device has as many units, and they weigh nothing. */
static size_t fill_up(struct outlook_class *of, size_t at)
{
    for (; at % OUTLOOK_LANES; at++) {
        of->kinds[at] = SIZE_MAX;
        of->ram[at] = 1;
        of->units[at] = 1e300;
        ((float *)of->cpu)[at] = ((float *)of->devices)[at] = 1;
    }
    return at;
}

static void set_kinds(struct outlook_class *of, const struct mix *mix, uint32_t class_bit)
{
    size_t at = 0;
    for (int is_several = 0; is_several <= 1; is_several++) {
        for (size_t i = 0; i < mix->count; i++) {
            const struct mix_kind *kind = &mix->kinds[i];
            if (may_run(&kind->demand, class_bit) && (kind->demand.devices > 1) == is_several)
                set_kind(of, at++, i, kind);
        }
        at = fill_up(of, at);
        of->steps = at / OUTLOOK_LANES;
        of->single_steps = is_several ? of->single_steps : of->steps;
    }
    for (size_t i = 0; i < mix->count; i++)
        if (mix->kinds[i].demand.devices && !may_run(&mix->kinds[i].demand, class_bit))
            of->barred += mix->kinds[i].weight;
}

struct outlook_class *outlook_class_new(const struct mix *mix, uint32_t class_bit,
                                        double total_units)
{
    struct outlook_class *of = mem_alloc(sizeof *of);
    size_t max = mix->count + 2 * OUTLOOK_LANES, steps = max / OUTLOOK_LANES;
    of->kinds = mem_alloc_array(max, sizeof *of->kinds);
    of->ram = mem_alloc_array(max, sizeof *of->ram);
    of->units = mem_alloc_array(max, sizeof *of->units);
    of->cpu = mem_alloc_array(4 * steps, sizeof *of->cpu);
    of->weight = of->cpu + steps;
    of->devices = of->weight + steps;
    of->price = of->devices + steps;
    of->unit_part = total_units > 0 ? 1 / total_units : 0;
    set_kinds(of, mix, class_bit);
    of->level_lanes = mem_alloc_array((OUTLOOK_LEVELS + 1) * (3 * of->steps + 1), sizeof(lanes));
    return of;
}

void outlook_class_free(struct outlook_class *of)
{
    if (!of)
        return;
    free(of->kinds);
    free(of->ram);
    free(of->units);
    free(of->cpu);
    free(of->level_lanes);
    free(of);
}

/* ---- devices ---- */

static double bounded(double count)
{
    return count < OUTLOOK_ROOM_MAX ? count : OUTLOOK_ROOM_MAX;
}

static void measure(const struct outlook_class *of, uint64_t free_units, struct offer *offer)
{
    for (size_t i = 0; i < of->steps * OUTLOOK_LANES; i++) {
        int slots = (int)bounded(has(free_units) / of->units[i]);
        ((float *)offer->slots)[i] = (float)slots;
        ((float *)offer->fits)[i] = slots > 0;
        ((float *)offer->lost)[i] = slots > 0 ? 0 : (float)((double)free_units * of->unit_part);
    }
}

static size_t level_of(uint64_t free_units)
{
    return (size_t)((free_units * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % OUTLOOK_LEVELS;
}

/* The offer kept at `at`, measured when it is another's. */
static struct offer offer_at(struct outlook_class *of, size_t at, uint64_t free_units)
{
    lanes *first = of->level_lanes + at * 3 * of->steps;
    struct offer offer = {first, first + of->steps, first + 2 * of->steps};
    struct outlook_level *level = &of->levels[at];
    if (!level->is_known || level->free != free_units) {
        *level = (struct outlook_level){.free = free_units, .is_known = true};
        measure(of, free_units, &offer);
    }
    return offer;
}

/* Two that would be kept at the same place: the second goes to the one behind all. */
void outlook_class_offers(struct outlook_class *of, uint64_t before, uint64_t after,
                          struct offer *ret_before, struct offer *ret_after)
{
    size_t one = level_of(before), other = level_of(after);
    *ret_before = offer_at(of, one, before);
    *ret_after = offer_at(of, one == other && before != after ? OUTLOOK_LEVELS : other, after);
}

/* ---- processors and memory ---- */

/* The less of what is there and `count` of all kinds, by memory. */
static void limit_by_ram(const struct outlook_class *of, uint64_t ram, lanes *count)
{
    float *out = (float *)count;
    for (size_t i = 0; i < of->steps * OUTLOOK_LANES; i++) {
        float by_ram = (float)(has(ram) / of->ram[i]);
        out[i] = by_ram < out[i] ? by_ram : out[i];
    }
}

void outlook_class_host(const struct outlook_class *of, uint64_t cpu, uint64_t ram, lanes *ret)
{
    const float there = (float)has(cpu), max = OUTLOOK_ROOM_MAX;
    for (size_t i = 0; i < of->steps; i++)
        ret[i] = (lanes){there, there, there, there} / of->cpu[i];
    if (of->asks_ram)
        limit_by_ram(of, ram, ret);
    for (size_t i = 0; i < of->steps; i++)
        ret[i] = lanes_quantise(lanes_least(ret[i], (lanes){max, max, max, max}));
}
