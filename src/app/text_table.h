/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: columns as wide as their widest cell, two blanks between.
 *
 *     struct text_table table = {0};
 *     text_table_row(&table, "NAME", "STATE", NULL);
 *     text_table_row(&table, name, state, NULL);
 *     text_table_print(&table);                       // prints and frees
 */
#pragma once

#include "domain/record.h"

enum { TEXT_TABLE_COLUMNS = 16 };

struct text_table {
    struct string_list cells; /* row by row */
    unsigned columns;         /* set by the first row */
};

/* Adds a row of C strings, ended by NULL; all rows have as many cells as the first. */
void text_table_row(struct text_table *table, ...) __attribute__((sentinel));

void text_table_print(struct text_table *table);
