/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that are told as JSON or as CSV (RFC 4180), by the same calls: an object a row, or a line a
 * row below a line of names. Pure, any thread.
 *
 *     struct table_writer table = table_writer_into(&rq->reply, &rq->json, is_csv);
 *     table_begin_head(&table); write(&table, &(struct row){0}); table_end_row(&table);
 *     table_begin_row(&table);  write(&table, row);              table_end_row(&table);
 */
#pragma once

#include "base/json.h"

struct table_writer {
    struct buf *out;
    struct json_writer *json; /* writes into `out` too; unused for CSV */
    bool is_csv;
    bool is_head;  /* names are written, values are not looked at */
    bool has_cell; /* the line has one already */
};

/* Both are borrowed; `json` may be NULL for CSV. */
struct table_writer table_writer_into(struct buf *out, struct json_writer *json, bool is_csv);

/* The line of names; of JSON nothing is written. */
void table_begin_head(struct table_writer *table);

/* Begins a row; its cells follow. */
void table_begin_row(struct table_writer *table);

/* Ends the row or the head. */
void table_end_row(struct table_writer *table);

/* A cell. NULL and a time of 0 are null in JSON and empty in CSV. */
void table_put_string(struct table_writer *table, const char *name, const char *value);
void table_put_int(struct table_writer *table, const char *name, int64_t value);
void table_put_bool(struct table_writer *table, const char *name, bool value);
void table_put_time(struct table_writer *table, const char *name, int64_t wall_ms);
