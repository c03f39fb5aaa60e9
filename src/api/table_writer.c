/* SPDX-License-Identifier: Apache-2.0 */
#include "api/table_writer.h"

#include "base/clock.h"

struct table_writer table_writer_into(struct buf *out, struct json_writer *json, bool is_csv)
{
    return (struct table_writer){.out = out, .json = json, .is_csv = is_csv};
}

void table_begin_head(struct table_writer *table)
{
    table->is_head = true;
    table->has_cell = false;
}

void table_begin_row(struct table_writer *table)
{
    table->is_head = table->has_cell = false;
    if (!table->is_csv)
        json_begin_object(table->json);
}

void table_end_row(struct table_writer *table)
{
    if (table->is_csv)
        buf_add_cstr(table->out, "\r\n");
    else if (!table->is_head)
        json_end_object(table->json);
}

/* Writes the text with quotes where RFC 4180 asks for them. */
static void add_cell(struct table_writer *table, const char *text)
{
    if (table->has_cell)
        buf_add_char(table->out, ',');
    table->has_cell = true;
    if (!strpbrk(text, "\",\r\n")) {
        buf_add_cstr(table->out, text);
        return;
    }
    buf_add_char(table->out, '"');
    for (const char *at = text; *at; at++) {
        if (*at == '"')
            buf_add_char(table->out, '"');
        buf_add_char(table->out, *at);
    }
    buf_add_char(table->out, '"');
}

/* Whether the cell is done: as a name, or as a cell of a line of CSV. */
static bool put_csv(struct table_writer *table, const char *name, const char *text)
{
    if (table->is_csv)
        add_cell(table, table->is_head ? name : text);
    return table->is_csv || table->is_head;
}

void table_put_string(struct table_writer *table, const char *name, const char *value)
{
    if (!put_csv(table, name, value ? value : ""))
        json_put_string(table->json, name, value);
}

void table_put_int(struct table_writer *table, const char *name, int64_t value)
{
    auto_free char *text = table->is_csv ? mem_printf("%lld", (long long)value) : NULL;
    if (!put_csv(table, name, text))
        json_put_int(table->json, name, value);
}

void table_put_bool(struct table_writer *table, const char *name, bool value)
{
    if (!put_csv(table, name, value ? "true" : "false"))
        json_put_bool(table->json, name, value);
}

void table_put_time(struct table_writer *table, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_MAX] = "";
    if (wall_ms)
        clock_format(wall_ms, text);
    if (put_csv(table, name, text))
        return;
    json_add_key(table->json, name);
    json_add_time(table->json, wall_ms);
}
