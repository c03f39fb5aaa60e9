/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is expected to come: kinds of demand and how likely each is. It is made of the catalogue
 * (models that are deployed or wait) or of a trace; a cluster without models gets a prior.
 *
 *     struct mix mix = {0};
 *     mix_add(&mix, &demand, replicas);   // for each model
 *     mix_finish(&mix, MIX_COVERAGE, MIX_COVERAGE); // what matters, weights sum up to 1
 *     mix_fini(&mix);
 */
#pragma once

#include "sched/inventory.h"

enum { MIX_KINDS_MAX = 256 }; /* after mix_finish() */

#define MIX_COVERAGE 0.95 /* kinds beyond this part are left out */

struct mix_kind {
    struct demand demand;
    double weight; /* how many; after mix_finish() the part of all */
};

/* The zero value is empty. */
struct mix {
    struct mix_kind *kinds; /* owned; after mix_finish() the most frequent first */
    size_t count;
};

/* Counts `weight` more of that demand. */
void mix_add(struct mix *mix, const struct demand *demand, double weight);

/*
 * What nothing is known of: an eighth, a quarter, a half and the whole of a device, and two, four
 * and eight whole ones, each as likely, per class with the size of that class's largest device.
 */
void mix_add_prior(struct mix *mix, const struct inventory *inventory);

/*
 * Keeps the most frequent kinds that make up the part `of_weight` of all, and behind them those
 * that ask for the most units, until `of_units` of what all ask for is covered: a few large demands
 * may be rare and yet want much. The weights of what is kept sum up to 1.
 */
void mix_finish(struct mix *mix, double of_weight, double of_units);

void mix_fini(struct mix *mix);
