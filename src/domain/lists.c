/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record.h"

/* There is room up to the next power of two: a long list isn't moved for each of its items. */
void string_list_add(struct string_list *list, const char *item)
{
    if ((list->count & (list->count - 1)) == 0)
        list->items = mem_resize(list->items, (list->count ? 2 * list->count : 1) *
                                                  sizeof *list->items);
    list->items[list->count++] = mem_strdup(item);
}

void string_list_fini(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct string_list){0};
}

bool string_list_has(const struct string_list *list, const char *item)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0)
            return true;
    return false;
}

/* Place of `key`, or the place where it would have to be put. */
static size_t map_place(const struct string_map *map, const char *key, bool *ret_found)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(map->keys[middle], key);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

void string_map_set(struct string_map *map, const char *key, const char *value)
{
    bool found;
    size_t place = map_place(map, key, &found);
    if (found) {
        mem_replace(&map->values[place], value);
        return;
    }
    map->keys = mem_resize(map->keys, (map->count + 1) * sizeof *map->keys);
    map->values = mem_resize(map->values, (map->count + 1) * sizeof *map->values);
    size_t behind = map->count - place;
    memmove(map->keys + place + 1, map->keys + place, behind * sizeof *map->keys);
    memmove(map->values + place + 1, map->values + place, behind * sizeof *map->values);
    map->keys[place] = mem_strdup(key);
    map->values[place] = mem_strdup(value);
    map->count++;
}

const char *string_map_get(const struct string_map *map, const char *key)
{
    bool found;
    size_t place = map_place(map, key, &found);
    return found ? map->values[place] : NULL;
}

void string_map_fini(struct string_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        free(map->keys[i]);
        free(map->values[i]);
    }
    free(map->keys);
    free(map->values);
    *map = (struct string_map){0};
}

void int_list_add(struct int_list *list, int64_t item)
{
    list->items = mem_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = item;
}

void int_list_fini(struct int_list *list)
{
    free(list->items);
    *list = (struct int_list){0};
}
