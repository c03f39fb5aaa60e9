/* SPDX-License-Identifier: Apache-2.0 */
#include "api/check.h"

#include "base/num.h"
#include "base/utf8.h"
#include "http/message.h"

#include <stdio.h>

enum { ALLOWED_MAX = 64 };

/* ---- texts ---- */

/* "one of a, b, c"; owned. */
static char *words_text(const char *const *words)
{
    struct buf text = {0};
    buf_add_cstr(&text, "one of");
    for (size_t i = 0; words[i]; i++)
        buf_printf(&text, "%s %s", i ? "," : "", words[i]);
    return buf_take(&text);
}

/* What numbers, bytes or items are allowed: "3-7 items". */
static void range_text(const struct check *check, const char *unit, char ret[ALLOWED_MAX])
{
    if (check->max != INT64_MAX)
        snprintf(ret, ALLOWED_MAX, "%lld-%lld%s", (long long)check->min, (long long)check->max,
                 unit);
    else if (check->min != INT64_MIN)
        snprintf(ret, ALLOWED_MAX, "at least %lld%s", (long long)check->min, unit);
    else
        snprintf(ret, ALLOWED_MAX, "an integer");
}

static bool is_within(const struct check *check, size_t count)
{
    return count >= (size_t)check->min && count <= (size_t)check->max;
}

static bool is_among(const char *const *words, const char *text)
{
    for (size_t i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return true;
    return false;
}

/* What an error text may show of a wrong value. */
static void add_fault(const struct check *check, const char *name, const char *allowed,
                      const char *seen, struct faults *faults)
{
    if (check->flags & CHECK_SECRET)
        faults_add(faults, name, "must be %s", allowed);
    else
        faults_add(faults, name, "must be %s, not %s", allowed, seen);
}

static void check_text(const struct check *check, const char *name, struct str text,
                       struct faults *faults)
{
    char allowed[ALLOWED_MAX], seen[ALLOWED_MAX];
    if (!utf8_is_valid(text) || str_find(text, '\0') < text.len) {
        faults_add(faults, name, "must be UTF-8 text without zero bytes");
    } else if (!is_within(check, text.len)) {
        range_text(check, " bytes", allowed);
        snprintf(seen, sizeof seen, "%zu", text.len);
        faults_add(faults, name, "must be %s, not %s", allowed, seen);
    } else if (check->words && !is_among(check->words, text.ptr)) {
        auto_free char *words = words_text(check->words);
        snprintf(seen, sizeof seen, "%.48s", text.ptr);
        add_fault(check, name, words, seen, faults);
    }
}

/* ---- queries ---- */

bool check_parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "True", "1", NULL};
    static const char *const no[] = {"false", "False", "0", NULL};
    *ret = is_among(yes, text);
    return *ret || is_among(no, text);
}

static void check_parameter(const struct check *check, const char *text, struct faults *faults)
{
    char allowed[ALLOWED_MAX], seen[ALLOWED_MAX];
    int64_t number;
    bool flag;
    snprintf(seen, sizeof seen, "%.48s", *text ? text : "empty");
    if (check->kind == CHECK_STRING) {
        check_text(check, check->name, str_of(text), faults);
    } else if (check->kind == CHECK_BOOL && !check_parse_bool(text, &flag)) {
        add_fault(check, check->name, "true or false", seen, faults);
    } else if (check->kind == CHECK_INT &&
               num_parse_i64(str_of(text), check->min, check->max, &number) < 0) {
        range_text(check, "", allowed);
        add_fault(check, check->name, allowed, seen, faults);
    }
}

static void add_unknown(const struct check *checks, const char *name, struct faults *faults)
{
    struct buf known = {0};
    for (const struct check *check = checks; check->name; check++)
        buf_printf(&known, "%s%s", check == checks ? "" : ", ", check->name);
    auto_free char *shown = mem_printf("%.48s", name);
    faults_add(faults, shown, "is no parameter here, only %s", known.ptr);
    buf_fini(&known);
}

/* The row of a parameter by name, or NULL. */
static const struct check *find_check(const struct check *checks, const char *name)
{
    for (const struct check *check = checks; check->name; check++)
        if (strcmp(check->name, name) == 0)
            return check;
    return NULL;
}

static bool is_given(struct str query, const char *name)
{
    auto_free char *value = http_query_get(query, name);
    return value != NULL;
}

void check_query(const struct check *checks, struct str query, bool is_list, struct faults *faults)
{
    uint64_t seen = 0; /* rows of the table that were met */
    struct str rest = query;
    char *name, *value;
    if (!checks)
        return;
    while (http_query_next(&rest, &name, &value)) {
        const struct check *check = find_check(checks, name);
        uint64_t bit = check ? UINT64_C(1) << (check - checks) % 64 : 0;
        if (!check && is_list && *value)
            add_unknown(checks, name, faults);
        else if (check && seen & bit && !(check->flags & CHECK_MANY))
            faults_add(faults, name, "must be given once");
        else if (check)
            check_parameter(check, value, faults);
        seen |= bit;
        free(name);
        free(value);
    }
    for (const struct check *check = checks; check->name; check++)
        if (check->flags & CHECK_REQUIRED && !is_given(query, check->name))
            faults_add(faults, check->name, "must be given");
}

/* ---- bodies ---- */

static void check_value(const struct check *check, const char *name, const json_t *value,
                        struct faults *faults);

static void refuse(const struct check *check, const char *name, const char *allowed,
                   const json_t *value, struct faults *faults)
{
    auto_free char *seen = faults_shown(value);
    add_fault(check, name, allowed, seen, faults);
}

static void check_integer(const struct check *check, const char *name, const json_t *value,
                          struct faults *faults)
{
    char allowed[ALLOWED_MAX];
    int64_t number;
    if (json_take_integer(value, &number) && number >= check->min && number <= check->max)
        return;
    range_text(check, "", allowed);
    refuse(check, name, allowed, value, faults);
}

static void check_number(const struct check *check, const char *name, const json_t *value,
                         struct faults *faults)
{
    char allowed[ALLOWED_MAX] = "a number";
    double number = json_number_value(value);
    if (json_is_number(value) && number >= (double)check->min && number <= (double)check->max)
        return;
    if (json_is_number(value))
        range_text(check, "", allowed);
    refuse(check, name, allowed, value, faults);
}

static void check_list(const struct check *check, const char *name, const json_t *value,
                       struct faults *faults)
{
    char allowed[ALLOWED_MAX];
    if (!json_is_array(value)) {
        refuse(check, name, "a list", value, faults);
        return;
    }
    size_t count = json_array_size(value);
    if (!is_within(check, count)) {
        range_text(check, " items", allowed);
        faults_add(faults, name, "must be %s, not %zu", allowed, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        auto_free char *item = mem_printf("%s[%zu]", name, i);
        check_value(check->parts, item, json_array_get(value, i), faults);
    }
}

static void check_object(const struct check *checks, const char *prefix, const json_t *object,
                         struct faults *faults)
{
    for (const struct check *check = checks; check->name; check++) {
        const json_t *value = json_object_get(object, check->name);
        auto_free char *name = mem_printf("%s%s", prefix, check->name);
        if (value)
            check_value(check, name, value, faults);
        else if (check->flags & CHECK_REQUIRED)
            faults_add(faults, name, "must be given");
    }
}

static void check_value(const struct check *check, const char *name, const json_t *value,
                        struct faults *faults)
{
    /* As in records, null is the same as nothing where nothing is allowed. */
    if (json_is_null(value) && (check->flags & (CHECK_NULLABLE | CHECK_REQUIRED)) != CHECK_REQUIRED)
        return;
    auto_free char *prefix = NULL;
    switch (check->kind) {
    case CHECK_ANY:
        break;
    case CHECK_BOOL:
        if (!json_is_boolean(value))
            refuse(check, name, "true or false", value, faults);
        break;
    case CHECK_INT:
        check_integer(check, name, value, faults);
        break;
    case CHECK_NUMBER:
        check_number(check, name, value, faults);
        break;
    case CHECK_STRING:
        if (json_is_string(value))
            check_text(check, name,
                       str_sub(json_string_value(value), json_string_length(value)), faults);
        else
            refuse(check, name, "a string", value, faults);
        break;
    case CHECK_LIST:
        check_list(check, name, value, faults);
        break;
    case CHECK_OBJECT:
        prefix = mem_printf("%s.", name);
        if (json_is_object(value))
            check_object(check->parts, prefix, value, faults);
        else
            refuse(check, name, "an object", value, faults);
        break;
    }
}

void check_members(const struct check *checks, const json_t *object, struct faults *faults)
{
    check_object(checks, "", object, faults);
}
