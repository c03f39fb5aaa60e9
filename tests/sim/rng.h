/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-random numbers from a seed: the same sequence on every machine. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* 64 fresh bits. */
uint64_t rng_next(struct rng *rng);

/* Evenly from `low` to `high`, both included. */
int64_t rng_between(struct rng *rng, int64_t low, int64_t high);

/* True `permille` times of 1,000. */
bool rng_chance(struct rng *rng, unsigned permille);
