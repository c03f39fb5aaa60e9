/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/name_set_priv.h"

#include "base/mem.h"
#include "base/random.h"

enum { ROOM_MIN = 64 };

/* Spreads all bits of a word over all others. */
static uint64_t scatter(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t hash_of(const struct name_set *set, struct str name)
{
    uint64_t hash = set->key ^ name.len;
    while (name.len > 0) {
        uint64_t word = 0;
        const size_t n = name.len < sizeof word ? name.len : sizeof word;
        memcpy(&word, name.ptr, n);
        hash = scatter(hash ^ word) + set->key;
        name = str_skip(name, n);
    }
    hash = scatter(hash);
    return hash ? hash : 1;
}

/* Where a hash stands, or the free slot where it would. */
static uint64_t *find(const struct name_set *set, uint64_t hash)
{
    size_t at = (size_t)hash & (set->room - 1);
    while (set->slots[at] && set->slots[at] != hash)
        at = (at + 1) & (set->room - 1);
    return &set->slots[at];
}

static void grow(struct name_set *set)
{
    struct name_set larger = {.room = set->room ? set->room * 2 : ROOM_MIN, .key = set->key};
    if (set->room == 0)
        random_bytes(&larger.key, sizeof larger.key);
    larger.slots = mem_alloc_array(larger.room, sizeof *larger.slots);
    larger.count = set->count;
    for (size_t i = 0; i < set->room; i++)
        if (set->slots[i])
            *find(&larger, set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = larger;
}

bool name_set_add(struct name_set *set, struct str name)
{
    if (set->count >= set->room - set->room / 4)
        grow(set);
    const uint64_t hash = hash_of(set, name);
    uint64_t *slot = find(set, hash);
    if (*slot)
        return false;
    *slot = hash;
    set->count++;
    return true;
}

void name_set_fini(struct name_set *set)
{
    free(set->slots);
    *set = (struct name_set){0};
}
