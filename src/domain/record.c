/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/record.h"

#include "domain/record_priv.h"

#include <assert.h>

/* ---- one field ---- */

static void clear_records(const struct field *field, void *record)
{
    struct record_array array = records_in(field, record);
    for (size_t i = 0; i < array.count; i++)
        record_fini(field->items, array.items + i * field->items->size);
    free(array.items);
    records_set(field, record, (struct record_array){0});
}

void field_clear(const struct field *field, void *record)
{
    void *at = field_at(field, record);
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_JSON:
        if (field->flags & (FIELD_SECRET | FIELD_WRITE_ONLY))
            mem_free_secret(*(char **)at);
        else
            free(*(char **)at);
        *(char **)at = NULL;
        break;
    case FIELD_STRINGS:
        string_list_fini(at);
        break;
    case FIELD_MAP:
        string_map_fini(at);
        break;
    case FIELD_INTS:
        int_list_fini(at);
        break;
    case FIELD_RECORDS:
        clear_records(field, record);
        break;
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        *(int64_t *)at = 0;
        break;
    case FIELD_DOUBLE:
        *(double *)at = 0;
        break;
    case FIELD_BOOL:
        *(bool *)at = false;
        break;
    case FIELD_ENUM:
        *(int *)at = 0;
        break;
    }
}

void field_reset(const struct field *field, void *record)
{
    field_clear(field, record);
    if (!field->fallback)
        return;
    auto_fini(json_release) json_t *value = NULL;
    int rc = json_read(str_of(field->fallback), &value, NULL);
    if (rc == 0)
        rc = record_read_field(field, record, value, NULL);
    assert(rc == 0);
}

static void copy_strings(struct string_list *to, const struct string_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        string_list_add(to, from->items[i]);
}

static void copy_map(struct string_map *to, const struct string_map *from)
{
    for (size_t i = 0; i < from->count; i++)
        string_map_set(to, from->keys[i], from->values[i]);
}

static void copy_ints(struct int_list *to, const struct int_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        int_list_add(to, from->items[i]);
}

static void copy_records(const struct field *field, void *to, const void *from)
{
    const struct record_array source = records_in(field, from);
    if (source.count == 0)
        return;
    size_t size = field->items->size;
    struct record_array copy = {mem_alloc_array(source.count, size), source.count};
    for (size_t i = 0; i < source.count; i++)
        record_copy(field->items, copy.items + i * size, source.items + i * size);
    records_set(field, to, copy);
}

static void copy_field(const struct field *field, void *to_record, const void *from_record)
{
    field_clear(field, to_record);
    void *to = field_at(field, to_record);
    const void *from = field_in(field, from_record);
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_JSON:
        *(char **)to = mem_strdup(*(char *const *)from);
        break;
    case FIELD_STRINGS:
        copy_strings(to, from);
        break;
    case FIELD_MAP:
        copy_map(to, from);
        break;
    case FIELD_INTS:
        copy_ints(to, from);
        break;
    case FIELD_RECORDS:
        copy_records(field, to_record, from_record);
        break;
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        *(int64_t *)to = *(const int64_t *)from;
        break;
    case FIELD_DOUBLE:
        *(double *)to = *(const double *)from;
        break;
    case FIELD_BOOL:
        *(bool *)to = *(const bool *)from;
        break;
    case FIELD_ENUM:
        *(int *)to = *(const int *)from;
        break;
    }
}

static bool text_is_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool texts_are_equal(char *const *a, char *const *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!text_is_equal(a[i], b[i]))
            return false;
    return true;
}

static bool strings_are_equal(const struct string_list *a, const struct string_list *b)
{
    return a->count == b->count && texts_are_equal(a->items, b->items, a->count);
}

static bool maps_are_equal(const struct string_map *a, const struct string_map *b)
{
    return a->count == b->count && texts_are_equal(a->keys, b->keys, a->count) &&
           texts_are_equal(a->values, b->values, a->count);
}

static bool ints_are_equal(const struct int_list *a, const struct int_list *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->items, b->items, a->count * sizeof *a->items) == 0);
}

static bool records_are_equal(const struct field *field, const void *a_record, const void *b_record)
{
    const struct record_array a = records_in(field, a_record), b = records_in(field, b_record);
    size_t size = field->items->size;
    for (size_t i = 0; a.count == b.count && i < a.count; i++)
        if (!record_is_equal(field->items, a.items + i * size, b.items + i * size, true))
            return false;
    return a.count == b.count;
}

bool record_field_is_equal(const struct field *field, const void *a_record, const void *b_record)
{
    const void *a = field_in(field, a_record), *b = field_in(field, b_record);
    switch (field->kind) {
    case FIELD_STRING:
    case FIELD_JSON:
        return text_is_equal(*(char *const *)a, *(char *const *)b);
    case FIELD_STRINGS:
        return strings_are_equal(a, b);
    case FIELD_MAP:
        return maps_are_equal(a, b);
    case FIELD_INTS:
        return ints_are_equal(a, b);
    case FIELD_RECORDS:
        return records_are_equal(field, a_record, b_record);
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        return *(const int64_t *)a == *(const int64_t *)b;
    case FIELD_DOUBLE:
        return *(const double *)a == *(const double *)b;
    case FIELD_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case FIELD_ENUM:
        return *(const int *)a == *(const int *)b;
    }
    return false;
}

/* ---- whole records ---- */

void record_init(const struct record_type *type, void *record)
{
    record_fini(type, record);
    for (unsigned i = 0; i < type->field_count; i++)
        field_reset(&type->fields[i], record);
}

void record_fini(const struct record_type *type, void *record)
{
    for (unsigned i = 0; i < type->field_count; i++)
        field_clear(&type->fields[i], record);
    memset(record, 0, type->size);
}

void record_copy(const struct record_type *type, void *to, const void *from)
{
    for (unsigned i = 0; i < type->field_count; i++)
        copy_field(&type->fields[i], to, from);
}

bool record_is_equal(const struct record_type *type, const void *a, const void *b,
                     bool with_transient)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        bool is_stored = !(field->flags & (FIELD_TRANSIENT | FIELD_WRITE_ONLY));
        if ((is_stored || with_transient) && !record_field_is_equal(field, a, b))
            return false;
    }
    return true;
}

const struct field *record_field(const struct record_type *type, const char *name)
{
    for (unsigned i = 0; i < type->field_count; i++)
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}
