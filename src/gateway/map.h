/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash table from byte strings to pointers: open addressing, linear probing. Keys borrow, usually
 * from the value itself; values are the owner's. The zero value is an empty map. Keys come from our
 * own control, so the hash isn't seeded. One thread at a time; a map that nobody changes may be
 * read by many.
 *
 *     void *old = map_put(&map, key, value);    // NULL, or the value that was replaced
 *     for (size_t i = 0; (value = map_next(&map, &i)) != NULL;) ...
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct map_slot {
    struct str key;
    void *value; /* NULL: the slot is free */
    uint64_t hash;
};

struct map {
    struct map_slot *slots; /* owned; `size` of them */
    size_t size;            /* 0 or a power of two */
    size_t count;
};

void map_fini(struct map *map);

void *map_get(const struct map *map, struct str key);

/* Sets `value` (not NULL). Returns the value that stood there, or NULL. */
void *map_put(struct map *map, struct str key, void *value);

/* Removes. Returns the value that stood there, or NULL. */
void *map_remove(struct map *map, struct str key);

/* The first value at or behind slot `*i`, which is moved on; NULL at the end. No order. */
void *map_next(const struct map *map, size_t *i);
