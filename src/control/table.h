/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of one type, ordered by id. Ids only grow, so an insert is an append, a lookup a binary
 * search and a list needs no sorting. Control's thread.
 *
 * Every stored record begins with `int64_t id` and has created_at and updated_at fields.
 */
#pragma once

#include "domain/record.h"

struct table {
    const struct record_type *type;
    void **rows; /* owned; each owned; ascending ids */
    size_t count, cap;
    int64_t last_id;                             /* highest id ever given out; never given again */
    const struct field *created_at, *updated_at; /* NULL when the type has none */
};

void table_init(struct table *table, const struct record_type *type);
void table_fini(struct table *table);

/* The record, or NULL. Borrows: valid until it is replaced or removed. */
void *table_find(const struct table *table, int64_t id);

/*
 * Moves the content of `record` (which becomes empty) into a row. Its id must be set, and either be
 * there already (then the row is replaced in place: pointers to it stay valid) or be above last_id.
 */
void *table_put(struct table *table, void *record);

/* Takes the row out; the caller frees it with table_free_row(). NULL when there is none. */
void *table_take(struct table *table, int64_t id);
void table_free_row(const struct table *table, void *row);

static inline int64_t record_id(const void *record)
{
    return *(const int64_t *)record;
}
