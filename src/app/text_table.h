/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: columns as wide as their widest cell, two blanks between.
 *
 *     struct text_table table = {0};
 *     text_table_head(&table, (const char *const[]){"NAME", "STATE", NULL});
 *     text_table_row(&table, name, state, NULL);
 *     text_table_print(&table);                       // prints and frees
 */
#pragma once

#include "domain/record.h"

enum { TEXT_TABLE_COLUMNS = 16 };

struct text_table {
    struct string_list cells; /* row by row */
    unsigned columns;         /* set by the head */
};

/* The first row: titles, ended by NULL, TEXT_TABLE_COLUMNS at most. */
void text_table_head(struct text_table *table, const char *const *titles);

/* Adds a row of C strings, ended by NULL, as many as there are titles. */
void text_table_row(struct text_table *table, ...) __attribute__((sentinel));

void text_table_print(struct text_table *table);
