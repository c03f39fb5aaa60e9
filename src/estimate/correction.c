/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/correction.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PERCENTILE = 95 };

static void copy_name(char *to, const char *name)
{
    snprintf(to, CORRECTION_NAME_SIZE, "%s", name ? name : "");
}

struct correction_key correction_key_of(const char *engine, const char *version,
                                        const char *architecture)
{
    struct correction_key key = {0};
    copy_name(key.engine, engine);
    copy_name(key.version, version);
    copy_name(key.architecture, architecture);
    return key;
}

static bool is_same_key(const struct correction_key *a, const struct correction_key *b)
{
    return strcmp(a->engine, b->engine) == 0 && strcmp(a->version, b->version) == 0 &&
           strcmp(a->architecture, b->architecture) == 0;
}

const struct correction *correction_find(const struct correction_table *table,
                                         const struct correction_key *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (is_same_key(&table->items[i].key, key))
            return &table->items[i];
    return NULL;
}

static struct correction *longest_unused(struct correction_table *table)
{
    struct correction *oldest = &table->items[0];
    for (size_t i = 1; i < table->count; i++)
        if (table->items[i].used < oldest->used)
            oldest = &table->items[i];
    return oldest;
}

static struct correction *find_or_make(struct correction_table *table,
                                       const struct correction_key *key)
{
    const struct correction *found = correction_find(table, key);
    struct correction *item;
    if (found)
        return &table->items[found - table->items];
    if (table->count == CORRECTION_KEYS_MAX) {
        item = longest_unused(table);
    } else {
        table->items = mem_resize(table->items, (table->count + 1) * sizeof *item);
        item = &table->items[table->count++];
    }
    *item = (struct correction){.key = *key};
    return item;
}

void correction_add(struct correction_table *table, const struct correction_key *key,
                    uint64_t estimated, uint64_t measured)
{
    struct correction *item = find_or_make(table, key);
    item->deltas[item->next] = (int64_t)(measured - estimated);
    item->estimates[item->next] = estimated;
    item->next = (item->next + 1) % CORRECTION_SAMPLES_MAX;
    if (item->count < CORRECTION_SAMPLES_MAX)
        item->count++;
    item->used = ++table->samples;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What the sample means for an estimate that isn't as large as its own. */
static int64_t scaled(const struct correction *correction, unsigned i, uint64_t estimated)
{
    const int64_t delta = correction->deltas[i];
    const uint64_t of = correction->estimates[i];
    return of > estimated ? (int64_t)((double)delta * (double)estimated / (double)of) : delta;
}

int64_t correction_delta(const struct correction *correction, uint64_t estimated)
{
    if (!correction || correction->count == 0)
        return 0;
    int64_t sorted[CORRECTION_SAMPLES_MAX];
    const unsigned count = correction->count;
    for (unsigned i = 0; i < count; i++)
        sorted[i] = scaled(correction, i, estimated);
    qsort(sorted, count, sizeof sorted[0], compare);
    const unsigned rounding = count < CORRECTION_TRUSTED ? 99 : 0;
    return sorted[(count * PERCENTILE + rounding) / 100 - 1];
}

uint64_t correction_apply(const struct correction_table *table, const struct correction_key *key,
                          uint64_t estimated)
{
    const struct correction *item = correction_find(table, key);
    int64_t delta = correction_delta(item, estimated);
    const int64_t most = (int64_t)estimated, least = -(int64_t)(estimated / 4);
    if (delta < 0 && item->count < CORRECTION_TRUSTED)
        return estimated;
    if (delta > most)
        delta = most;
    if (delta < least)
        delta = least;
    return estimated + (uint64_t)delta;
}

void correction_table_fini(struct correction_table *table)
{
    free(table->items);
    *table = (struct correction_table){0};
}
