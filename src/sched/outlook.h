/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The score of a place by what it leaves to the demand that is expected. Two things are counted:
 *
 * Room. How often a kind of demand would fit, summed up over all nodes, is its room. What a claim
 * takes of the room of a kind costs the more, the less there is: what is scarce is dear, be it a
 * rare class of device, eight free devices on one node, or processors beside them.
 *
 * Fragments. Units that the mix can't use (fragment.h), as a part of all units of the cluster.
 *
 *     price = weight x (devices / room)^(3/4) / devices               per kind
 *     score = 10^9 x (OUTLOOK_FRAGMENT_WEIGHT x (fragments before - after)
 *                     - sum over kinds of price x (room before - after on the node))
 *
 * The room of a kind on a node is the mean of how often it fits and the same without rounding down,
 * so that what is lost of the next one counts as well. doc/placement.md has an example by hand.
 *
 * An outlook keeps per node what the score needs of it, and only nodes that have changed since are
 * looked at again. Scores are not kept: prices move with every claim.
 *
 *     struct outlook *outlook = outlook_new(&inventory, &mix);
 *     if (outlook_choose(outlook, &demand, &choice) == 0) {
 *         inventory_apply(&inventory, &choice.claim);
 *         outlook_update(outlook, choice.claim.node);
 *     }
 *     outlook_free(outlook);
 *
 * Owned by one thread at a time. Deterministic: equal inventory and mix give equal scores, however
 * they came about.
 */
#pragma once

#include "sched/mix.h"

/* What fragments count beside room. */
#define OUTLOOK_FRAGMENT_WEIGHT 1.5

struct outlook;

struct outlook_choice {
    struct inventory_claim claim; /* model 0 */
    int64_t score;                /* the highest; of equal ones the first node, the first device */
};

/* Borrows the inventory, which has all its nodes; the finished mix is only read. Returns owned. */
struct outlook *outlook_new(const struct inventory *inventory, const struct mix *mix);

void outlook_free(struct outlook *outlook);

/* Must follow each claim that was applied to or taken back from the node. */
void outlook_update(struct outlook *outlook, size_t node);

/* Score of a claim that fits, compared with others of the same demand; higher is better. */
int64_t outlook_score(struct outlook *outlook, const struct inventory_claim *claim);

/* The best place for the demand among all nodes, or -1 when it fits on none. */
int outlook_choose(struct outlook *outlook, const struct demand *demand,
                   struct outlook_choice *ret);

/* The room of the i-th kind of the mix over all nodes. */
double outlook_room(const struct outlook *outlook, size_t kind);
