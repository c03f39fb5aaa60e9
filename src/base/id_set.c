/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id_set.h"

#include "base/mem.h"

#include <string.h>

/* Index of the first item >= `id`. */
static size_t lower_bound(const struct id_set *set, int64_t id)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool id_set_add(struct id_set *set, int64_t id)
{
    size_t at = lower_bound(set, id);
    if (at < set->count && set->items[at] == id)
        return false;
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 8;
        set->items = mem_resize(set->items, set->cap * sizeof *set->items);
    }
    memmove(&set->items[at + 1], &set->items[at], (set->count - at) * sizeof *set->items);
    set->items[at] = id;
    set->count++;
    return true;
}

bool id_set_has(const struct id_set *set, int64_t id)
{
    size_t at = lower_bound(set, id);
    return at < set->count && set->items[at] == id;
}

bool id_set_remove(struct id_set *set, int64_t id)
{
    size_t at = lower_bound(set, id);
    if (at == set->count || set->items[at] != id)
        return false;
    set->count--;
    memmove(&set->items[at], &set->items[at + 1], (set->count - at) * sizeof *set->items);
    return true;
}

void id_set_fini(struct id_set *set)
{
    free(set->items);
    *set = (struct id_set){0};
}
