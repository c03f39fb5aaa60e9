/* SPDX-License-Identifier: Apache-2.0 */
#include "control/index.h"

#include "base/mem.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

struct number_entry {
    UT_hash_handle hh;
    int64_t key;
    struct index_bucket bucket;
};

struct text_entry {
    UT_hash_handle hh;
    char *key; /* owned */
    void *row;
};

/* ---- by number ---- */

static struct number_entry *find_number(const struct number_index *index, int64_t key)
{
    struct number_entry *entry = NULL;
    HASH_FIND(hh, index->entries, &key, sizeof key, entry);
    return entry;
}

void number_index_add(struct number_index *index, int64_t key, void *row)
{
    struct number_entry *entry = find_number(index, key);
    if (!entry) {
        entry = mem_alloc(sizeof *entry);
        entry->key = key;
        HASH_ADD(hh, index->entries, key, sizeof entry->key, entry);
    }
    struct index_bucket *bucket = &entry->bucket;
    if (bucket->count == bucket->cap) {
        bucket->cap = bucket->cap ? bucket->cap * 2 : 4;
        bucket->rows = mem_resize(bucket->rows, bucket->cap * sizeof *bucket->rows);
    }
    bucket->rows[bucket->count++] = row;
}

static void drop_number(struct number_index *index, struct number_entry *entry)
{
    HASH_DEL(index->entries, entry);
    free(entry->bucket.rows);
    free(entry);
}

void number_index_remove(struct number_index *index, int64_t key, const void *row)
{
    struct number_entry *entry = find_number(index, key);
    if (!entry)
        return;
    struct index_bucket *bucket = &entry->bucket;
    size_t at = 0;
    while (at < bucket->count && bucket->rows[at] != row)
        at++;
    if (at == bucket->count)
        return;
    bucket->count--;
    memmove(&bucket->rows[at], &bucket->rows[at + 1], (bucket->count - at) * sizeof *bucket->rows);
    if (bucket->count == 0)
        drop_number(index, entry);
}

const struct index_bucket *number_index_find(const struct number_index *index, int64_t key)
{
    const struct number_entry *entry = find_number(index, key);
    return entry ? &entry->bucket : NULL;
}

void number_index_fini(struct number_index *index)
{
    struct number_entry *entry, *next;
    HASH_ITER(hh, index->entries, entry, next)
        drop_number(index, entry);
}

/* ---- by text ---- */

static struct text_entry *find_text(const struct text_index *index, const char *key)
{
    struct text_entry *entry = NULL;
    if (key)
        HASH_FIND(hh, index->entries, key, strlen(key), entry);
    return entry;
}

void text_index_add(struct text_index *index, const char *key, void *row)
{
    if (!key || find_text(index, key))
        return;
    struct text_entry *entry = mem_alloc(sizeof *entry);
    entry->key = mem_strdup(key);
    entry->row = row;
    HASH_ADD_KEYPTR(hh, index->entries, entry->key, strlen(entry->key), entry);
}

static void drop_text(struct text_index *index, struct text_entry *entry)
{
    HASH_DEL(index->entries, entry);
    free(entry->key);
    free(entry);
}

void text_index_remove(struct text_index *index, const char *key, const void *row)
{
    struct text_entry *entry = find_text(index, key);
    if (entry && entry->row == row)
        drop_text(index, entry);
}

void *text_index_find(const struct text_index *index, const char *key)
{
    const struct text_entry *entry = find_text(index, key);
    return entry ? entry->row : NULL;
}

void text_index_fini(struct text_index *index)
{
    struct text_entry *entry, *next;
    HASH_ITER(hh, index->entries, entry, next)
        drop_text(index, entry);
}
