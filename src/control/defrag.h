/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: moves of instances that would let a waiting model be placed, or
 * leave less of the devices useless. A plan: nothing is moved. Each move is tried on the placing's
 * view in its turn, the new instance beside the old one before that goes, so that the view is
 * afterwards as if all were done: ask nothing else of that placing. Deterministic.
 */
#pragma once

#include "control/placing.h"

enum {
    DEFRAG_MOVES_MAX = 16,
    DEFRAG_MOVES_FOR_ONE = 4,        /* that make room for one instance */
    DEFRAG_GAIN_MIN = 1 << 30,       /* bytes; less isn't worth a restart */
    DEFRAG_TRIES_MIN = 16,           /* places that are looked for at least, see below */
    DEFRAG_TRIES_MAX = 4000,
    DEFRAG_TRIES_OF_WORKERS = 50000, /* and in all, over the workers of each: bounds the time */
};

/*
 * Writes members: "moves" in the order in which they can be made, those that place a model that
 * waits first, then those with the most gain per byte that is loaded anew; "placed", what finds a
 * place by that; "is_complete", whether all that could be moved was looked at.
 */
void defrag_write(struct placing *placing, struct json_writer *w);
