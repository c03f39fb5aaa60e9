/* SPDX-License-Identifier: Apache-2.0 */
#include "app/text_table.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void text_table_head(struct text_table *table, const char *const *titles)
{
    for (; titles[table->columns]; table->columns++)
        string_list_add(&table->cells, titles[table->columns]);
    assert(table->columns <= TEXT_TABLE_COLUMNS);
}

void text_table_row(struct text_table *table, ...)
{
    unsigned count = 0;
    va_list args;
    va_start(args, table);
    for (const char *cell; (cell = va_arg(args, const char *)) != NULL; count++)
        string_list_add(&table->cells, cell);
    va_end(args);
    assert(count == table->columns);
}

/* Characters that are shown: UTF-8 continuation bytes take no place. */
static int shown_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const struct text_table *table, size_t first, const int *widths)
{
    for (unsigned column = 0; column < table->columns; column++) {
        const char *cell = table->cells.items[first + column];
        bool last = column + 1 == table->columns;
        int pad = last ? 0 : widths[column] - shown_width(cell) + 2;
        printf("%s%*s", cell, pad, "");
    }
    putchar('\n');
}

void text_table_print(struct text_table *table)
{
    int widths[TEXT_TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < table->cells.count; i++) {
        int width = shown_width(table->cells.items[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->cells.count; i += table->columns)
        print_row(table, i, widths);
    string_list_fini(&table->cells);
    table->columns = 0;
}
