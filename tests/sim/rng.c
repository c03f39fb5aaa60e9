/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rng.h"

#include <assert.h>

/* A counter with a strong mixing step: every seed gives a full-period sequence of its own. */
uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high)
{
    assert(low <= high);
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}

bool rng_chance(struct rng *rng, unsigned permille)
{
    return rng_next(rng) % 1000 < permille;
}
