/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragmentation of a node: how many of its free device units the expected demand can't use. The
 * plain form, computed from the node alone; outlook.h has the form for deciding among thousands.
 *
 * For a kind of demand that the node has room for: the units on devices with less free than the
 * kind asks of each. For one that it has no room for, or that wants no device: all free units. The
 * node's fragmentation is the mean over the mix. (Weng et al., "Beware of Fragmentation", ATC '23.)
 */
#pragma once

#include "sched/mix.h"

/* Units that one kind can't use. */
uint64_t fragment_of_kind(const struct inventory *inventory, size_t node,
                          const struct demand *kind);

/* Units that the mix can't use, as a mean. */
double fragment_of_node(const struct inventory *inventory, size_t node, const struct mix *mix);

/* What the claim would change: below 0 when it leaves fewer fragments than there are. It is taken
 * and given back, so the inventory is as before. */
double fragment_gradient(struct inventory *inventory, const struct inventory_claim *claim,
                         const struct mix *mix);
