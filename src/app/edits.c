/* SPDX-License-Identifier: Apache-2.0 */
#include "app/edits.h"

#include "app/cli.h"
#include "domain/model.h"

/* The value as JSON; a text where it is none, or where the field is one. Owned. */
static json_t *read_value(const char *name, const char *text, const json_t *present)
{
    const struct field *field = record_field(&model_type, name);
    json_t *value = NULL;
    bool is_null = strcmp(text, "null") == 0;
    if (json_is_string(present) && !is_null)
        return json_string(text);
    if (json_read(str_of(text), &value, NULL) < 0)
        return json_string(text);
    if (field && field->kind == FIELD_INT)
        return value;
    /* A field that is null may be one of text: a version "1.20" is no number. */
    if (json_is_null(present) && !is_null && !json_is_object(value) && !json_is_array(value)) {
        json_decref(value);
        return json_string(text);
    }
    return value;
}

static int no_field(const char *name, const json_t *object, struct err *err)
{
    struct buf known = {0};
    const char *key;
    json_t *value;
    /* jansson iterates over non-const objects only */
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        buf_printf(&known, "%s%s", known.len ? ", " : "", key);
    int rc = cli_usage(err, "there is no field \"%s\", only %s", name, known.ptr);
    buf_fini(&known);
    return rc;
}

int edits_read(const char *const *pairs, unsigned count, const json_t *object, json_t *ret,
               struct err *err)
{
    for (unsigned i = 0; i < count; i++) {
        const char *equals = strchr(pairs[i], '=');
        if (!equals || equals == pairs[i])
            return cli_usage(err, "changes are given as KEY=VALUE, not \"%s\"",
                           pairs[i]);
        auto_free char *name = mem_strndup(pairs[i], (size_t)(equals - pairs[i]));
        const json_t *present = json_object_get(object, name);
        if (!present)
            return no_field(name, object, err);
        json_object_set_new(ret, name, read_value(name, equals + 1, present));
    }
    return 0;
}

/* A number that is 0 may be shown as null. */
static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || (json_is_integer(value) && json_integer_value(value) == 0);
}

int edits_check(const json_t *changes, const json_t *answer, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)changes, key, value) {
        const json_t *taken = json_object_get(answer, key);
        if (is_nothing(value) && is_nothing(taken))
            continue;
        if (strcmp(key, "version") != 0 && json_is_null(taken) != json_is_null(value))
            return err_set(err, ERR_CONFLICT, "%s can't be changed", key);
        if (strcmp(key, "version") != 0 && !json_is_object(value) && !json_equal(taken, value))
            return err_set(err, ERR_CONFLICT, "%s can't be changed", key);
    }
    return 0;
}
