/* SPDX-License-Identifier: Apache-2.0 */
#include "api/list_query.h"

#include "base/num.h"
#include "http/message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- which fields ---- */

static const void *at(const struct field *field, const void *record)
{
    return (const char *)record + field->offset;
}

static bool is_shown(const struct field *field)
{
    return !(field->flags & (FIELD_SECRET | FIELD_WRITE_ONLY));
}

static bool can_filter(const struct field *field)
{
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_BOOL:
    case FIELD_STRING:
    case FIELD_ENUM:
    case FIELD_STRINGS:
    case FIELD_INTS:
        return is_shown(field);
    case FIELD_DOUBLE:
    case FIELD_TIME:
    case FIELD_MAP:
    case FIELD_JSON:
    case FIELD_RECORDS:
        break;
    }
    return false;
}

static bool can_sort(const struct field *field)
{
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_DOUBLE:
    case FIELD_BOOL:
    case FIELD_STRING:
    case FIELD_TIME:
    case FIELD_ENUM:
        return is_shown(field);
    case FIELD_STRINGS:
    case FIELD_INTS:
    case FIELD_MAP:
    case FIELD_JSON:
    case FIELD_RECORDS:
        break;
    }
    return false;
}

/* The names of the fields that pass, for an error text. Returns owned. */
static char *name_fields(const struct record_type *type, bool (*passes)(const struct field *))
{
    struct buf names = {0};
    for (unsigned i = 0; i < type->field_count; i++)
        if (passes(&type->fields[i]))
            buf_printf(&names, "%s%s", names.len ? ", " : "", type->fields[i].name);
    return buf_take(&names);
}

/* ---- reading filters ---- */

static int read_number(const struct field *field, const char *text, int64_t *ret, struct err *err)
{
    if (num_parse_i64(str_of(text), INT64_MIN, INT64_MAX, ret) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be an integer, not \"%.64s\"", field->name, text);
}

static int read_bool(const struct field *field, const char *text, int64_t *ret, struct err *err)
{
    bool is_true = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!is_true && strcasecmp(text, "false") != 0 && strcmp(text, "0") != 0)
        return err_set(err, ERR_INVALID, "%s must be true or false, not \"%.64s\"", field->name,
                       text);
    *ret = is_true;
    return 0;
}

static int read_word(const struct field *field, const char *text, int64_t *ret, struct err *err)
{
    struct buf words = {0};
    for (unsigned i = 0; i < field->name_count; i++) {
        buf_printf(&words, "%s%s", i ? ", " : "", field->names[i]);
        if (strcmp(field->names[i], text) != 0)
            continue;
        buf_fini(&words);
        *ret = i;
        return 0;
    }
    int rc = err_set(err, ERR_INVALID, "%s must be one of %s, not \"%.64s\"", field->name,
                     words.ptr, text);
    buf_fini(&words);
    return rc;
}

static int read_value(const struct field *field, const char *text, struct list_value *ret,
                      struct err *err)
{
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
        return read_number(field, text, &ret->number, err);
    case FIELD_INTS:
        return *text ? read_number(field, text, &ret->number, err) : 0;
    case FIELD_BOOL:
        return read_bool(field, text, &ret->number, err);
    case FIELD_ENUM:
        return read_word(field, text, &ret->number, err);
    case FIELD_STRING:
    case FIELD_STRINGS:
    case FIELD_DOUBLE:
    case FIELD_TIME:
    case FIELD_MAP:
    case FIELD_JSON:
    case FIELD_RECORDS:
        break;
    }
    return 0;
}

static struct list_filter *filter_of(struct list_query *query, const struct field *field)
{
    for (size_t i = 0; i < query->filter_count; i++)
        if (query->filters[i].field == field)
            return &query->filters[i];
    query->filters = mem_resize(query->filters, (query->filter_count + 1) * sizeof *query->filters);
    struct list_filter *filter = &query->filters[query->filter_count++];
    *filter = (struct list_filter){.field = field};
    return filter;
}

static bool is_list(const struct field *field)
{
    return field->kind == FIELD_STRINGS || field->kind == FIELD_INTS;
}

static int add_filter(struct list_query *query, const struct record_type *type, const char *name,
                      const char *text, struct err *err)
{
    const struct field *field = record_field(type, name);
    if (!*text && !(field && is_list(field)))
        return 0; /* GPUStack's UI sends its unused filters empty */
    if (!field || !can_filter(field)) {
        auto_free char *fields = name_fields(type, can_filter);
        return err_set(err, ERR_INVALID,
                       "%ss can't be filtered by \"%.64s\"; there is page, perPage, search, "
                       "sort_by, watch and %s",
                       type->noun, name, fields);
    }
    struct list_value value = {0};
    int rc = read_value(field, text, &value, err);
    if (rc < 0)
        return rc;
    value.text = mem_strdup(text);
    struct list_filter *filter = filter_of(query, field);
    filter->values = mem_resize(filter->values, (filter->count + 1) * sizeof *filter->values);
    filter->values[filter->count++] = value;
    return 0;
}

/* ---- reading the order ---- */

static int add_sort(struct list_query *query, const struct record_type *type, struct str name,
                    struct err *err)
{
    bool is_descending = str_has_prefix(name, STR("-"));
    auto_free char *text = str_dup(is_descending ? str_skip(name, 1) : name);
    const struct field *field = record_field(type, text);
    if (!field || !can_sort(field)) {
        auto_free char *fields = name_fields(type, can_sort);
        return err_set(err, ERR_INVALID, "sort_by must name fields of %s, not \"%.64s\"", fields,
                       text);
    }
    if (query->sort_count == LIST_SORT_MAX)
        return err_set(err, ERR_INVALID, "sort_by must name at most %d fields", LIST_SORT_MAX);
    query->sort[query->sort_count++] =
        (struct list_sort){.field = field, .is_descending = is_descending};
    return 0;
}

static int read_sort(struct list_query *query, const struct record_type *type, const char *text,
                     struct err *err)
{
    struct str rest = str_of(text), name;
    int rc = 0;
    query->sort_count = 0;
    while (rc == 0 && *text && str_split(&rest, ',', &name))
        rc = add_sort(query, type, str_trim(name), err);
    return rc;
}

/* ---- reading all of it ---- */

static int read_page(const char *name, const char *text, int64_t *ret, struct err *err)
{
    if (num_parse_i64(str_of(text), -1, LIST_PAGE_MAX, ret) == 0 && *ret != 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be 1 or more, or -1 for all, not \"%.64s\"", name,
                   text);
}

static int read_per_page(const char *name, const char *text, int64_t *ret, struct err *err)
{
    if (num_parse_i64(str_of(text), 1, LIST_PER_PAGE, ret) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be 1-%d, not \"%.64s\"; page=-1 gives all rows", name,
                   LIST_PER_PAGE, text);
}

static int read_watch(const char *text, bool *ret, struct err *err)
{
    static const struct field field = {.name = "watch", .kind = FIELD_BOOL};
    int64_t number;
    int rc = read_bool(&field, text, &number, err);
    if (rc == 0)
        *ret = number != 0;
    return rc;
}

static int read_parameter(struct list_query *query, const struct record_type *type,
                          const char *name, const char *text, struct err *err)
{
    if (strcmp(name, "page") == 0)
        return read_page(name, text, &query->page, err);
    if (strcmp(name, "perPage") == 0)
        return read_per_page(name, text, &query->per_page, err);
    if (strcmp(name, "watch") == 0)
        return read_watch(text, &query->watch, err);
    if (strcmp(name, "sort_by") == 0)
        return read_sort(query, type, text, err);
    if (strcmp(name, "search") != 0)
        return add_filter(query, type, name, text, err);
    mem_replace(&query->search, *text ? text : NULL);
    return 0;
}

static const char *resolve(const struct list_alias *aliases, const char *name)
{
    for (; aliases && aliases->name; aliases++)
        if (strcmp(aliases->name, name) == 0)
            return aliases->field;
    return name;
}

int list_query_read(struct str text, const struct record_type *type,
                    const struct list_alias *aliases, struct list_query *ret, struct err *err)
{
    struct list_query query = {.page = 1, .per_page = LIST_PER_PAGE};
    char *name, *value;
    int rc = 0;
    while (rc == 0 && http_query_next(&text, &name, &value)) {
        rc = read_parameter(&query, type, resolve(aliases, name), value, err);
        free(name);
        free(value);
    }
    if (rc < 0) {
        list_query_fini(&query);
        return rc;
    }
    *ret = query;
    return 0;
}

void list_query_fini(struct list_query *query)
{
    for (size_t i = 0; i < query->filter_count; i++) {
        struct list_filter *filter = &query->filters[i];
        for (size_t k = 0; k < filter->count; k++)
            free(filter->values[k].text);
        free(filter->values);
    }
    free(query->filters);
    free(query->search);
    *query = (struct list_query){0};
}

/* ---- filtering ---- */

static bool has_int(const struct int_list *list, const struct list_value *value)
{
    if (!*value->text)
        return list->count == 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == value->number)
            return true;
    return false;
}

static bool has_string(const struct string_list *list, const char *text)
{
    return *text ? string_list_has(list, text) : list->count == 0;
}

static bool is_value(const struct field *field, const void *record, const struct list_value *value)
{
    const void *have = at(field, record);
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
        return *(const int64_t *)have == value->number;
    case FIELD_BOOL:
        return *(const bool *)have == (value->number != 0);
    case FIELD_ENUM:
        return *(const int *)have == (int)value->number;
    case FIELD_STRING:
        return strcmp(*(char *const *)have ? *(char *const *)have : "", value->text) == 0;
    case FIELD_STRINGS:
        return has_string(have, value->text);
    case FIELD_INTS:
        return has_int(have, value);
    case FIELD_DOUBLE:
    case FIELD_TIME:
    case FIELD_MAP:
    case FIELD_JSON:
    case FIELD_RECORDS:
        break;
    }
    return false;
}

static bool passes(const struct list_filter *filter, const void *record)
{
    for (size_t i = 0; i < filter->count; i++)
        if (is_value(filter->field, record, &filter->values[i]))
            return true;
    return false;
}

static bool is_found(const char *search, const struct record_type *type, const void *record)
{
    static const char *const searched[] = {"name", "username", "full_name", "hostname",
                                           "worker_name", "object_name"};
    /* What has no name of its own is known by where it is. */
    static const char *const nameless[] = {"local_path", "worker_name"};
    bool has_name = record_field(type, "name") || !record_field(type, nameless[0]);
    const char *const *names = has_name ? searched : nameless;
    size_t count = has_name ? ARRAY_LEN(searched) : ARRAY_LEN(nameless);
    for (size_t i = 0; i < count; i++) {
        const struct field *field = record_field(type, names[i]);
        if (!field || field->kind != FIELD_STRING)
            continue;
        const char *text = *(char *const *)at(field, record);
        if (text && strcasestr(text, search))
            return true;
    }
    return false;
}

bool list_query_accepts(const struct list_query *query, const struct record_type *type,
                        const void *record)
{
    for (size_t i = 0; i < query->filter_count; i++)
        if (!passes(&query->filters[i], record))
            return false;
    return !query->search || is_found(query->search, type, record);
}

/* ---- sorting ---- */

struct sort_row {
    const void *record;
    size_t place; /* before sorting */
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* As people read: without regard to case, and null first. */
static int compare_texts(const char *a, const char *b)
{
    if (!a || !b)
        return ORDER(a != NULL, b != NULL);
    int order = strcasecmp(a, b);
    return order ? order : strcmp(a, b);
}

static int compare_field(const struct field *field, const void *a_record, const void *b_record)
{
    const void *a = at(field, a_record), *b = at(field, b_record);
    switch (field->kind) {
    case FIELD_ID:
    case FIELD_INT:
    case FIELD_TIME:
        return ORDER(*(const int64_t *)a, *(const int64_t *)b);
    case FIELD_DOUBLE:
        return ORDER(*(const double *)a, *(const double *)b);
    case FIELD_BOOL:
        return ORDER(*(const bool *)a, *(const bool *)b);
    case FIELD_ENUM:
        return compare_texts(field->names[*(const int *)a], field->names[*(const int *)b]);
    case FIELD_STRING:
        return compare_texts(*(char *const *)a, *(char *const *)b);
    case FIELD_STRINGS:
    case FIELD_INTS:
    case FIELD_MAP:
    case FIELD_JSON:
    case FIELD_RECORDS:
        break;
    }
    return 0;
}

static int compare_rows(const void *a_row, const void *b_row, void *ctx)
{
    const struct list_query *query = ctx;
    const struct sort_row *a = a_row, *b = b_row;
    for (size_t i = 0; i < query->sort_count; i++) {
        int order = compare_field(query->sort[i].field, a->record, b->record);
        if (order)
            return query->sort[i].is_descending ? -order : order;
    }
    return ORDER(a->place, b->place);
}

static void reverse(const void **rows, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        const void *row = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = row;
    }
}

void list_query_sort(const struct list_query *query, const void **rows, size_t count)
{
    if (query->sort_count == 0) {
        reverse(rows, count);
        return;
    }
    auto_free struct sort_row *sorted = mem_alloc_array(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct sort_row){.record = rows[i], .place = i};
    struct list_query copy = *query;
    qsort_r(sorted, count, sizeof *sorted, compare_rows, &copy);
    for (size_t i = 0; i < count; i++)
        rows[i] = sorted[i].record;
}
