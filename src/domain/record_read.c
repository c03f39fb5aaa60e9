/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"
#include "domain/record_priv.h"

#include <stdio.h>

static int refuse(const json_t *value, struct err *err, const char *allowed)
{
    auto_free char *seen = faults_shown(value);
    return err_set(err, ERR_INVALID, "must be %s, not %s", allowed, seen);
}

/* ---- scalars ---- */

static int read_int(const struct field *field, int64_t *at, const json_t *value, struct err *err)
{
    int64_t min = field->kind == FIELD_ID ? 0 : field->min;
    int64_t max = field->kind == FIELD_ID ? INT64_MAX : field->max;
    int64_t number = 0;
    if (json_take_integer(value, &number) && number >= min && number <= max) {
        *at = number;
        return 0;
    }
    char range[64];
    if (max == INT64_MAX)
        snprintf(range, sizeof range, "an integer of at least %lld", (long long)min);
    else
        snprintf(range, sizeof range, "%lld-%lld", (long long)min, (long long)max);
    return refuse(value, err, range);
}

static int read_double(const struct field *field, double *at, const json_t *value, struct err *err)
{
    if (!json_is_number(value))
        return refuse(value, err, "a number");
    double number = json_number_value(value);
    if ((field->min || field->max) &&
        !(number >= (double)field->min && number <= (double)field->max)) {
        char range[64];
        snprintf(range, sizeof range, "%lld-%lld", (long long)field->min, (long long)field->max);
        return refuse(value, err, range);
    }
    *at = number;
    return 0;
}

static int read_bool(bool *at, const json_t *value, struct err *err)
{
    if (!json_is_boolean(value))
        return refuse(value, err, "true or false");
    *at = json_is_true(value);
    return 0;
}

static int read_time(int64_t *at, const json_t *value, struct err *err)
{
    if (!json_is_string(value) || timestamp_parse(str_of(json_string_value(value)), at) < 0)
        return refuse(value, err, "a time like \"2026-11-23T20:54:01Z\"");
    return 0;
}

static int read_enum(const struct field *field, int *at, const json_t *value, struct err *err)
{
    const char *word = json_string_value(value);
    for (unsigned i = 0; word && i < field->name_count; i++)
        if (strcmp(field->names[i], word) == 0) {
            *at = (int)i;
            return 0;
        }
    struct buf allowed = {0};
    buf_add_cstr(&allowed, "one of");
    for (unsigned i = 0; i < field->name_count; i++)
        buf_printf(&allowed, "%s %s", i ? "," : "", field->names[i]);
    int rc = refuse(value, err, allowed.ptr);
    buf_fini(&allowed);
    return rc;
}

/* ---- texts ---- */

/* The string in `value` when it fits: valid UTF-8, no NUL inside, at most `max` bytes. */
static int take_text(const json_t *value, size_t max, const char **ret, struct err *err)
{
    if (!json_is_string(value))
        return refuse(value, err, "a string");
    struct str text = str_sub(json_string_value(value), json_string_length(value));
    if (text.len > max)
        return err_set(err, ERR_INVALID, "must be at most %zu bytes, not %zu", max, text.len);
    if (!utf8_is_valid(text) || str_find(text, '\0') < text.len)
        return err_set(err, ERR_INVALID, "must be UTF-8 text without zero bytes");
    *ret = text.ptr;
    return 0;
}

static int read_string(const struct field *field, char **at, const json_t *value, struct err *err)
{
    const char *text;
    int rc = take_text(value, field->max ? (size_t)field->max : RECORD_STRING_MAX, &text, err);
    if (rc < 0)
        return rc;
    if (*text && strlen(text) < (size_t)field->min)
        return err_set(err, ERR_INVALID, "must be at least %lld bytes, not %zu",
                       (long long)field->min, strlen(text));
    mem_replace(at, text);
    return 0;
}

static int read_json(char **at, const json_t *value, struct err *err)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, value);
    if (text.len > RECORD_JSON_MAX) {
        int rc = err_set(err, ERR_INVALID, "must be at most %d bytes of JSON, not %zu",
                         RECORD_JSON_MAX, text.len);
        buf_fini(&text);
        return rc;
    }
    free(*at);
    *at = buf_take(&text);
    return 0;
}

/* ---- lists ---- */

static int check_count(const struct field *field, size_t count, struct err *err)
{
    size_t min = (size_t)field->min, max = field->max ? (size_t)field->max : RECORD_LIST_MAX;
    if (count >= min && count <= max)
        return 0;
    return err_set(err, ERR_INVALID, "must have %zu-%zu items, not %zu", min, max, count);
}

static int read_strings(const struct field *field, struct string_list *at, const json_t *value,
                        struct err *err)
{
    if (!json_is_array(value))
        return refuse(value, err, "a list of strings");
    struct string_list list = {0};
    int rc = check_count(field, json_array_size(value), err);
    for (size_t i = 0; rc == 0 && i < json_array_size(value); i++) {
        const char *item = NULL;
        rc = take_text(json_array_get(value, i), RECORD_STRING_MAX, &item, err);
        if (rc == 0)
            string_list_add(&list, item);
        else
            err_wrap(err, rc, "item %zu", i);
    }
    string_list_fini(rc == 0 ? at : &list);
    if (rc == 0)
        *at = list;
    return rc;
}

static int read_pair(struct string_map *map, const char *key, const json_t *value, struct err *err)
{
    const char *text;
    if (*key == '\0' || strlen(key) > RECORD_STRING_MAX)
        return err_set(err, ERR_INVALID, "must have keys of 1-%d bytes", RECORD_STRING_MAX);
    int rc = take_text(value, RECORD_STRING_MAX, &text, err);
    if (rc < 0)
        return err_wrap(err, rc, "%.48s", key);
    string_map_set(map, key, text);
    return 0;
}

static int read_map(const struct field *field, struct string_map *at, const json_t *value,
                    struct err *err)
{
    if (!json_is_object(value))
        return refuse(value, err, "an object of strings");
    struct string_map map = {0};
    int rc = check_count(field, json_object_size(value), err);
    json_t *object = (json_t *)(uintptr_t)value; /* jansson iterates over non-const only */
    for (void *it = json_object_iter(object); rc == 0 && it; it = json_object_iter_next(object, it))
        rc = read_pair(&map, json_object_iter_key(it), json_object_iter_value(it), err);
    string_map_fini(rc == 0 ? at : &map);
    if (rc == 0)
        *at = map;
    return rc;
}

static int read_ints(const struct field *field, struct int_list *at, const json_t *value,
                     struct err *err)
{
    if (!json_is_array(value))
        return refuse(value, err, "a list of integers");
    struct int_list list = {0};
    int rc = check_count(field, json_array_size(value), err);
    for (size_t i = 0; rc == 0 && i < json_array_size(value); i++) {
        int64_t item;
        if (json_take_integer(json_array_get(value, i), &item))
            int_list_add(&list, item);
        else
            rc = refuse(json_array_get(value, i), err, "a list of integers");
    }
    int_list_fini(rc == 0 ? at : &list);
    if (rc == 0)
        *at = list;
    return rc;
}

static int read_records(const struct field *field, void *record, const json_t *value,
                        struct err *err)
{
    if (!json_is_array(value))
        return refuse(value, err, "a list of objects");
    size_t size = field->items->size, count = json_array_size(value);
    int rc = check_count(field, count, err);
    if (rc < 0)
        return rc;
    struct record_array array = {mem_alloc_array(count, size), count};
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = record_read(field->items, array.items + i * size, json_array_get(value, i),
                         RECORD_CREATE, err);
        if (rc < 0)
            err_wrap(err, rc, "item %zu", i);
    }
    if (rc == 0) {
        field_clear(field, record);
        records_set(field, record, array);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        record_fini(field->items, array.items + i * size);
    free(array.items);
    return rc;
}

/* ---- fields and records ---- */

int record_read_field(const struct field *field, void *record, const json_t *value, struct err *err)
{
    void *at = field_at(field, record);
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
        return read_int(field, at, value, err);
    case FIELD_DOUBLE:
        return read_double(field, at, value, err);
    case FIELD_BOOL:
        return read_bool(at, value, err);
    case FIELD_STRING:
        return read_string(field, at, value, err);
    case FIELD_TIME:
        return read_time(at, value, err);
    case FIELD_ENUM:
        return read_enum(field, at, value, err);
    case FIELD_STRINGS:
        return read_strings(field, at, value, err);
    case FIELD_MAP:
        return read_map(field, at, value, err);
    case FIELD_INTS:
        return read_ints(field, at, value, err);
    case FIELD_JSON:
        return read_json(at, value, err);
    case FIELD_RECORDS:
        return read_records(field, record, value, err);
    }
    return ERR_INVALID;
}

static bool is_taken(const struct field *field, enum record_read_mode mode)
{
    unsigned ignored = 0;
    switch (mode) {
    case RECORD_CREATE:
        ignored = FIELD_SECRET | FIELD_READ_ONLY;
        break;
    case RECORD_MERGE:
        ignored = FIELD_SECRET | FIELD_READ_ONLY | FIELD_CREATE_ONLY;
        break;
    case RECORD_TRUST:
        ignored = FIELD_SECRET;
        break;
    }
    return !(field->flags & ignored);
}

/* A required field may be neither null nor the empty string, the empty list or the empty map. */
static bool is_empty(const json_t *value)
{
    return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static void read_member(const struct field *field, void *record, const json_t *value,
                        struct faults *faults)
{
    struct err err = {0};
    bool is_secret = field->flags & FIELD_WRITE_ONLY && field->kind == FIELD_STRING;
    if ((field->flags & FIELD_REQUIRED) && is_empty(value))
        faults_add(faults, field->name, "must not be empty");
    else if (is_secret && !json_is_string(value) && !json_is_null(value))
        faults_add(faults, field->name, "must be a string"); /* without the value */
    else if (json_is_null(value))
        field_reset(field, record);
    else if (record_read_field(field, record, value, &err) < 0)
        faults_add(faults, field->name, "%s", err.text);
}

static void read_members(const struct record_type *type, void *record, const json_t *object,
                         enum record_read_mode mode, struct faults *faults)
{
    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        const json_t *value = json_object_get(object, field->name);
        if (!is_taken(field, mode))
            continue;
        if (value)
            read_member(field, record, value, faults);
        else if (mode == RECORD_CREATE && (field->flags & FIELD_REQUIRED))
            faults_add(faults, field->name, "must be given");
    }
}

int record_read(const struct record_type *type, void *record, const json_t *object,
                enum record_read_mode mode, struct err *err)
{
    if (!json_is_object(object))
        return refuse(object, err, "a JSON object");
    void *draft = mem_alloc(type->size);
    if (mode == RECORD_CREATE)
        record_init(type, draft);
    else
        record_copy(type, draft, record);
    struct faults faults = {0};
    read_members(type, draft, object, mode, &faults);
    int rc = faults_finish(&faults, err);
    if (rc == 0) {
        record_fini(type, record);
        memcpy(record, draft, type->size);
    } else {
        record_fini(type, draft);
    }
    free(draft);
    return rc;
}
