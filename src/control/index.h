/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/: finds rows of a table by something else than their id. Rows are borrowed and
 * don't move while they are in it. Deterministic; control's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Rows by number: those of one key in the order in which they were added. */
struct index_bucket {
    void **rows; /* owned array of borrowed rows */
    size_t count, cap;
};

struct number_entry;
struct number_index {
    struct number_entry *entries; /* uthash by key */
};

/* The row is under the key from now on; removing what isn't there does nothing. */
void number_index_add(struct number_index *index, int64_t key, void *row);
void number_index_remove(struct number_index *index, int64_t key, const void *row);

/* The rows of a key, or NULL when there are none; valid until the index changes. */
const struct index_bucket *number_index_find(const struct number_index *index, int64_t key);
void number_index_fini(struct number_index *index);

/* Rows by text: one per key; the text is copied. */
struct text_entry;
struct text_index {
    struct text_entry *entries; /* uthash by key */
};

/* NULL keys are left out. A key that is there already keeps its first row. */
void text_index_add(struct text_index *index, const char *key, void *row);

/* Removes the key if it is this row's. */
void text_index_remove(struct text_index *index, const char *key, const void *row);
void *text_index_find(const struct text_index *index, const char *key);
void text_index_fini(struct text_index *index);
