/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/map.h"

#include "base/mem.h"

#include <assert.h>

enum { SIZE_MIN = 16 };

/* FNV-1a: keys are short and the hash is compared in full before the bytes are. */
static uint64_t hash_of(struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.ptr[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

void map_fini(struct map *map)
{
    free(map->slots);
    *map = (struct map){0};
}

/* The slot that holds `key`, or the free one where it would go. The map isn't full. */
static size_t find_slot(const struct map *map, uint64_t hash, struct str key)
{
    size_t i = hash & (map->size - 1);
    while (map->slots[i].value && (map->slots[i].hash != hash || !str_eq(map->slots[i].key, key)))
        i = (i + 1) & (map->size - 1);
    return i;
}

void *map_get(const struct map *map, struct str key)
{
    if (map->count == 0)
        return NULL;
    return map->slots[find_slot(map, hash_of(key), key)].value;
}

static void grow(struct map *map)
{
    struct map bigger = {.size = map->size ? 2 * map->size : SIZE_MIN, .count = map->count};
    bigger.slots = mem_alloc_array(bigger.size, sizeof bigger.slots[0]);
    for (size_t i = 0; i < map->size; i++) {
        const struct map_slot *slot = &map->slots[i];
        if (slot->value)
            bigger.slots[find_slot(&bigger, slot->hash, slot->key)] = *slot;
    }
    free(map->slots);
    *map = bigger;
}

void *map_put(struct map *map, struct str key, void *value)
{
    assert(value);
    if (4 * (map->count + 1) > 3 * map->size)
        grow(map);
    uint64_t hash = hash_of(key);
    struct map_slot *slot = &map->slots[find_slot(map, hash, key)];
    void *old = slot->value;
    *slot = (struct map_slot){.key = key, .value = value, .hash = hash};
    map->count += old == NULL;
    return old;
}

/* Frees slot `hole` and moves up those behind it that would no longer be found. */
static void close_gap(struct map *map, size_t hole)
{
    size_t mask = map->size - 1;
    map->slots[hole].value = NULL;
    for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole */
        map->slots[hole] = map->slots[i];
        map->slots[i].value = NULL;
        hole = i;
    }
}

void *map_remove(struct map *map, struct str key)
{
    if (map->count == 0)
        return NULL;
    size_t at = find_slot(map, hash_of(key), key);
    void *old = map->slots[at].value;
    if (!old)
        return NULL;
    close_gap(map, at);
    map->count--;
    return old;
}

void *map_next(const struct map *map, size_t *i)
{
    while (*i < map->size) {
        void *value = map->slots[(*i)++].value;
        if (value)
            return value;
    }
    return NULL;
}
