/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/sched/ may include this: the kinds of a mix as the devices of one class see them. Arrays
 * are by kind, in steps of OUTLOOK_LANES: first the kinds that want one device, then the others,
 * each part filled up with kinds of no weight that fit nowhere.
 */
#pragma once

#include "sched/mix.h"

enum {
    OUTLOOK_LANES = 4,
    OUTLOOK_STEPS_MAX = MIX_KINDS_MAX / OUTLOOK_LANES + 2,
    OUTLOOK_LEVELS = 1024,    /* levels that are kept; a power of two */
    OUTLOOK_ROOM_MAX = 16384, /* more than this on a node is as good */
};

typedef float lanes __attribute__((vector_size(OUTLOOK_LANES * sizeof(float))));
typedef int32_t lane_mask __attribute__((vector_size(OUTLOOK_LANES * sizeof(int32_t))));

/* What devices offer to each kind. Sums over devices are sums of these. */
struct offer {
    lanes *slots; /* how often the units that the kind wants of a device fit */
    lanes *fits;  /* 1: they do */
    lanes *lost;  /* free units when they don't, as a part of the cluster's */
};

/* The offer of one device with so many units free. */
struct outlook_level {
    uint64_t free;
    bool is_known;
};

struct outlook_class {
    size_t single_steps, steps; /* of the kinds that want one device; of all that may run on it */
    size_t *kinds;              /* indexes in the mix; SIZE_MAX: fills up */
    double *ram, *units;
    bool asks_ram; /* any kind does */
    lanes *cpu, *weight, *devices, *price;
    double barred;    /* weight of the kinds that want devices of other classes */
    double unit_part; /* one unit as a part of the cluster's */
    struct outlook_level levels[OUTLOOK_LEVELS + 1]; /* the last: see outlook_class_offers() */
    lanes *level_lanes;                              /* 3 arrays of `steps` per level */
};

/* The kinds that may run on devices of that class. `total_units`: of the cluster. Returns owned. */
struct outlook_class *outlook_class_new(const struct mix *mix, uint32_t class_bit,
                                        double total_units);
void outlook_class_free(struct outlook_class *of);

/* The offers of a device with so much free, before and after; valid until the next call. */
void outlook_class_offers(struct outlook_class *of, uint64_t before, uint64_t after,
                          struct offer *ret_before, struct offer *ret_after);

/* How often each kind's processors and memory fit into these, in whole 1/256; `ret` has `steps`
 * items. */
void outlook_class_host(const struct outlook_class *of, uint64_t cpu, uint64_t ram, lanes *ret);

/* Each lane without what is behind the point; all are small and not below 0. */
static inline lanes lanes_round_down(lanes a)
{
    return __builtin_convertvector(__builtin_convertvector(a, lane_mask), lanes);
}

/* The same in whole 1/256: sums of such numbers are exact and so don't depend on their order. */
static inline lanes lanes_quantise(lanes a)
{
    return lanes_round_down(a * 256.0f) * (1 / 256.0f);
}

/* Per lane `yes` where the mask is set. */
static inline lanes lanes_choose(lane_mask mask, lanes yes, lanes no)
{
    return (lanes)((mask & (lane_mask)yes) | (~mask & (lane_mask)no));
}

static inline lanes lanes_least(lanes a, lanes b)
{
    return lanes_choose(a < b, a, b);
}
