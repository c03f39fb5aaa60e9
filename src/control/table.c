/* SPDX-License-Identifier: Apache-2.0 */
#include "control/table.h"

#include <assert.h>

void table_init(struct table *table, const struct record_type *type)
{
    *table = (struct table){
        .type = type,
        .created_at = record_field(type, "created_at"),
        .updated_at = record_field(type, "updated_at"),
    };
}

void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        table_free_row(table, table->rows[i]);
    free(table->rows);
    *table = (struct table){0};
}

/* Index of the first row with an id >= `id`. */
static size_t lower_bound(const struct table *table, int64_t id)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record_id(table->rows[middle]) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *table_find(const struct table *table, int64_t id)
{
    size_t at = lower_bound(table, id);
    return at < table->count && record_id(table->rows[at]) == id ? table->rows[at] : NULL;
}

static void *append(struct table *table, int64_t id)
{
    assert(table->count == 0 || record_id(table->rows[table->count - 1]) < id);
    if (table->count == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 16;
        table->rows = mem_resize(table->rows, table->cap * sizeof *table->rows);
    }
    void *row = mem_alloc(table->type->size);
    table->rows[table->count++] = row;
    if (id > table->last_id)
        table->last_id = id;
    return row;
}

void *table_put(struct table *table, void *record)
{
    int64_t id = record_id(record);
    assert(id > 0);
    void *row = table_find(table, id);
    if (row)
        record_fini(table->type, row);
    else
        row = append(table, id);
    memcpy(row, record, table->type->size);
    memset(record, 0, table->type->size);
    return row;
}

void *table_take(struct table *table, int64_t id)
{
    size_t at = lower_bound(table, id);
    if (at == table->count || record_id(table->rows[at]) != id)
        return NULL;
    void *row = table->rows[at];
    table->count--;
    memmove(&table->rows[at], &table->rows[at + 1], (table->count - at) * sizeof *table->rows);
    return row;
}

void table_free_row(const struct table *table, void *row)
{
    if (!row)
        return;
    record_fini(table->type, row);
    free(row);
}
