/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record_priv.h"

#include <assert.h>

static void write_strings(const struct string_list *list, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_cstring(w, list->items[i]);
    json_end_array(w);
}

static void write_map(const struct string_map *map, struct json_writer *w)
{
    json_begin_object(w);
    for (size_t i = 0; i < map->count; i++)
        json_put_string(w, map->keys[i], map->values[i]);
    json_end_object(w);
}

static void write_ints(const struct int_list *list, struct json_writer *w)
{
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        json_add_int(w, list->items[i]);
    json_end_array(w);
}

static void write_records(const struct field *field, const void *record, struct json_writer *w)
{
    const struct record_array array = records_in(field, record);
    json_begin_array(w);
    for (size_t i = 0; i < array.count; i++)
        record_write(field->items, array.items + i * field->items->size, w);
    json_end_array(w);
}

static void write_int(const struct field *field, int64_t value, struct json_writer *w)
{
    if ((field->flags & FIELD_NULLABLE) && value == 0)
        json_add_null(w);
    else
        json_add_int(w, value);
}

static void write_double(const struct field *field, double value, struct json_writer *w)
{
    if ((field->flags & FIELD_NULLABLE) && value < 0)
        json_add_null(w);
    else
        json_add_double(w, value);
}

static void write_enum(const struct field *field, int value, struct json_writer *w)
{
    assert(value >= 0 && (unsigned)value < field->name_count);
    json_add_cstring(w, field->names[value]);
}

void record_write_field(const struct field *field, const void *record, struct json_writer *w)
{
    const void *at = field_in(field, record);
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
        write_int(field, *(const int64_t *)at, w);
        break;
    case FIELD_DOUBLE:
        write_double(field, *(const double *)at, w);
        break;
    case FIELD_BOOL:
        json_add_bool(w, *(const bool *)at);
        break;
    case FIELD_STRING:
        json_add_cstring(w, *(char *const *)at);
        break;
    case FIELD_TIME:
        json_add_time(w, *(const int64_t *)at);
        break;
    case FIELD_ENUM:
        write_enum(field, *(const int *)at, w);
        break;
    case FIELD_STRINGS:
        write_strings(at, w);
        break;
    case FIELD_MAP:
        write_map(at, w);
        break;
    case FIELD_INTS:
        write_ints(at, w);
        break;
    case FIELD_RECORDS:
        write_records(field, record, w);
        break;
    case FIELD_JSON:
        if (*(char *const *)at)
            json_add_raw(w, str_of(*(char *const *)at));
        else
            json_add_null(w);
        break;
    }
}

void record_write_members(const struct record_type *type, const void *record, struct json_writer *w)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (field->flags & (FIELD_SECRET | FIELD_WRITE_ONLY))
            continue;
        json_add_key(w, field->name);
        record_write_field(field, record, w);
    }
}

void record_write(const struct record_type *type, const void *record, struct json_writer *w)
{
    json_begin_object(w);
    record_write_members(type, record, w);
    json_end_object(w);
}
