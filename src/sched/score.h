/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documented scores of GPUStack, 0 to 100: how good a place is, and which replica goes first
 * when a model is scaled down (the lowest). Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum score_status {
    SCORE_DOWN = 0,    /* unplaced, in error, or its worker isn't ready */
    SCORE_UNSURE = 50, /* neither */
    SCORE_UP = 100,    /* runs on a ready worker */
};

/* Instances on the worker besides the one that is scored. */
struct score_worker {
    unsigned same;   /* of the same model */
    unsigned others; /* of other models */
    const unsigned *same_on, *others_on; /* the same per device; NULL without devices */
    size_t device_count;
};

/* Strategy `spread`: a base by whose company it would be in, plus up to 10 for unused devices. */
double score_spread(const struct score_worker *worker);

/* Strategy `binpack`: the part of what can be given out that the claim takes; 0 if not known. */
double score_binpack(uint64_t claim_bytes, uint64_t allocatable_bytes);

/* Instances on the workers that are compared, for the spread of GPUStack 2. */
struct score_field {
    unsigned same_min, same_max;     /* fewest and most of the same model on a worker */
    unsigned others_min, others_max; /* the same of other models */
};

/*
 * Strategy `spread` as of GPUStack 2: 85 % by the worker's company relative to that of the others,
 * 15 % by how little the devices that it would get (those in `worker`) are used.
 */
double score_spread_among(const struct score_worker *worker, const struct score_field *field);

/* Strategy `binpack` as of GPUStack 2, for one device: memory of the machine counts once, the
 * device's twice. An instance has the highest of its devices' scores. */
double score_binpack_device(double ram_part, double device_part);

/* Scale-down: (100 status + 10 offload + placement) / 111, each term from 0 to 100. */
double score_scale_down(enum score_status status, double offload, double placement);
