/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/shape.h"

static void check_objects(const char *where, const json_t *list, const struct shape_member *members,
                          size_t max, struct faults *faults);

static void check_number(const char *where, const json_t *value, const struct shape_member *member,
                         struct faults *faults)
{
    int64_t whole;
    double number = json_number_value(value);
    bool is_int = member->kind == SHAPE_INT;
    bool is_kind = is_int ? json_take_integer(value, &whole) : json_is_number(value);
    if (is_kind && number >= (double)member->min && number <= (double)member->max)
        return;
    auto_free char *seen = faults_shown(value);
    faults_add(faults, where, "must be %s of %lld-%lld, not %s", is_int ? "an integer" : "a number",
               (long long)member->min, (long long)member->max, seen);
}

static void check_word(const char *where, const json_t *value, const struct shape_member *member,
                       struct faults *faults)
{
    const char *text = json_string_value(value);
    struct buf allowed = {0};
    for (const char *const *word = member->words; *word; word++) {
        buf_printf(&allowed, "%s%s", allowed.len ? ", " : "", *word);
        if (text && strcmp(text, *word) == 0) {
            buf_fini(&allowed);
            return;
        }
    }
    auto_free char *seen = faults_shown(value);
    faults_add(faults, where, "must be one of %s, not %s", allowed.ptr, seen);
    buf_fini(&allowed);
}

static void check_value(const char *where, const json_t *value, const struct shape_member *member,
                        struct faults *faults)
{
    auto_free char *seen = NULL;
    switch (member->kind) {
    case SHAPE_BOOL:
        seen = faults_shown(value);
        if (!json_is_boolean(value))
            faults_add(faults, where, "must be true or false, not %s", seen);
        break;
    case SHAPE_INT:
    case SHAPE_NUMBER:
        check_number(where, value, member, faults);
        break;
    case SHAPE_TEXT:
        if (!json_is_string(value) || (int64_t)json_string_length(value) > member->max)
            faults_add(faults, where, "must be a string of at most %lld bytes",
                       (long long)member->max);
        break;
    case SHAPE_WORD:
        check_word(where, value, member, faults);
        break;
    case SHAPE_LIST:
        check_objects(where, value, member->inside, (size_t)member->max, faults);
        break;
    }
}

static void check_object(const char *where, const json_t *object,
                         const struct shape_member *members, struct faults *faults)
{
    if (!json_is_object(object)) {
        faults_add(faults, where, "must be an object");
        return;
    }
    for (; members->name; members++) {
        const json_t *value = json_object_get(object, members->name);
        auto_free char *inner = mem_printf("%s.%s", where, members->name);
        if (value && !json_is_null(value))
            check_value(inner, value, members, faults);
        else if (members->is_required)
            faults_add(faults, inner, "must be given");
    }
}

static void check_objects(const char *where, const json_t *list, const struct shape_member *members,
                          size_t max, struct faults *faults)
{
    if (!json_is_array(list) || json_array_size(list) > max) {
        faults_add(faults, where, "must be a list of at most %zu objects", max);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        auto_free char *inner = mem_printf("%s[%zu]", where, i);
        check_object(inner, json_array_get(list, i), members, faults);
    }
}

void shape_check_object(const char *field, const char *text, const struct shape_member *members,
                        struct faults *faults)
{
    auto_fini(json_release) json_t *root = NULL;
    if (text && json_read(str_of(text), &root, NULL) == 0)
        check_object(field, root, members, faults);
}

void shape_check_list(const char *field, const char *text, const struct shape_member *members,
                      size_t max, struct faults *faults)
{
    auto_fini(json_release) json_t *root = NULL;
    if (text && json_read(str_of(text), &root, NULL) == 0)
        check_objects(field, root, members, max, faults);
}
