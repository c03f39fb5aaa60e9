/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* The deepest place where a tree is written: within root, tools, tool, function. */
_Static_assert(ANTHROPIC_DEPTH_MAX + 8 <= JSON_DEPTH_MAX, "trees fit into the writer");

static void add_place(const struct anthropic_place *at, struct buf *out)
{
    if (!at)
        return;
    add_place(at->up, out);
    if (!at->member)
        buf_printf(out, "[%zu]", at->index);
    else
        buf_printf(out, "%s%s", at->up ? "." : "", at->member);
}

static int fail_with(const struct anthropic_place *at, struct err *err, char *text)
{
    struct buf place = {0};
    add_place(at, &place);
    err_set(err, ERR_INVALID, "%s: %s", place.ptr ? place.ptr : "body", text);
    buf_fini(&place);
    free(text);
    return ERR_INVALID;
}

int anthropic_fail(const struct anthropic_place *at, struct err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = mem_vprintf(fmt, args);
    va_end(args);
    return fail_with(at, err, text);
}

int anthropic_fail_member(const struct anthropic_place *at, const char *name, struct err *err,
                          const char *fmt, ...)
{
    struct anthropic_place place = anthropic_member(at, name);
    va_list args;
    va_start(args, fmt);
    char *text = mem_vprintf(fmt, args);
    va_end(args);
    return fail_with(&place, err, text);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The parser itself stops at 2048 levels, so that neither recursion runs out of stack. */
static bool is_deeper_than(json_t *value, unsigned levels)
{
    const char *key;
    json_t *item;
    size_t i;
    if (!json_is_object(value) && !json_is_array(value))
        return false;
    if (levels == 0)
        return true;
    json_array_foreach(value, i, item)
        if (is_deeper_than(item, levels - 1))
            return true;
    json_object_foreach(value, key, item)
        if (is_deeper_than(item, levels - 1))
            return true;
    return false;
}

/* Behind the string whose quote is at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    const char *start = at + 1;
    for (at = start; (at = memchr(at, '"', (size_t)(end - at))); at++) {
        const char *escape = at;
        while (escape > start && escape[-1] == '\\')
            escape--;
        if ((at - escape) % 2 == 0)
            return at + 1;
    }
    return end;
}

/* Each value but the first stands behind one of these; an empty array or object counts twice. */
static size_t count_values(struct str text)
{
    size_t count = 1;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        count += *at == ',' || *at == '[' || *at == '{';
        at++;
    }
    return count;
}

/* Schemas do hold numbers that no 64-bit integer can: then all integers are read as reals, of which
 * the whole ones are written as integers again. */
static json_t *parse(struct str text, json_error_t *fault)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *root = json_loadb(text.ptr, text.len, flags, fault);
    if (!root && json_error_code(fault) == json_error_numeric_overflow)
        root = json_loadb(text.ptr, text.len, flags | JSON_DECODE_INT_AS_REAL, fault);
    return root;
}

int anthropic_read(struct str text, size_t max, json_t **ret, struct err *err)
{
    if (text.len > max)
        return err_set(err, ERR_TOO_LARGE, "JSON of %zu bytes is larger than %zu", text.len, max);
    if (!text.ptr)
        text = STR("");
    size_t values = count_values(text); /* a tree costs far more than its text */
    if (values > ANTHROPIC_VALUES_MAX)
        return err_set(err, ERR_TOO_LARGE, "JSON of %zu values has more than %d", values,
                       ANTHROPIC_VALUES_MAX);
    json_error_t fault;
    json_t *root = parse(text, &fault);
    if (!root)
        return err_set(err, ERR_SYNTAX, "line %d column %d: %s", fault.line, fault.column,
                       fault.text);
    int rc = 0;
    if (!json_is_object(root))
        rc = err_set(err, ERR_SYNTAX, "a JSON object is expected, not %s", anthropic_kind(root));
    else if (is_deeper_than(root, ANTHROPIC_DEPTH_MAX))
        rc = err_set(err, ERR_INVALID, "JSON is nested more than %d levels deep",
                     ANTHROPIC_DEPTH_MAX);
    if (rc < 0)
        json_decref(root);
    else
        *ret = root;
    return rc;
}

const char *anthropic_kind(const json_t *value)
{
    if (!value)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}

struct str anthropic_str(const json_t *value)
{
    if (!json_is_string(value))
        return (struct str){0};
    return str_sub(json_string_value(value), json_string_length(value));
}

int anthropic_take_string(const json_t *object, const char *name, const struct anthropic_place *at,
                          struct str *ret, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value))
        return anthropic_fail_member(at, name, err, "must be a string, not %s",
                                     anthropic_kind(value));
    *ret = anthropic_str(value);
    return 0;
}

int anthropic_take_text(const json_t *object, const char *name, const struct anthropic_place *at,
                        struct str *ret, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    *ret = (struct str){0};
    return !value || json_is_null(value) ? 0 : anthropic_take_string(object, name, at, ret, err);
}

int anthropic_take_flag(const json_t *object, const char *name, const struct anthropic_place *at,
                        bool *ret, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        return anthropic_fail_member(at, name, err, "must be true or false, not %s",
                                     anthropic_kind(value));
    *ret = json_is_true(value);
    return 0;
}

int anthropic_take_object(const json_t *object, const char *name, const struct anthropic_place *at,
                          json_t **ret, struct err *err)
{
    json_t *value = json_object_get(object, name);
    if (value && !json_is_null(value) && !json_is_object(value))
        return anthropic_fail_member(at, name, err, "must be an object, not %s",
                                     anthropic_kind(value));
    *ret = json_is_object(value) ? value : NULL;
    return 0;
}

int anthropic_take_array(const json_t *object, const char *name, const struct anthropic_place *at,
                         json_t **ret, struct err *err)
{
    json_t *value = json_object_get(object, name);
    if (value && !json_is_null(value) && !json_is_array(value))
        return anthropic_fail_member(at, name, err, "must be an array, not %s",
                                     anthropic_kind(value));
    *ret = json_is_array(value) ? value : NULL;
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* 0.1 shall come out as 0.1: the model reads these numbers. */
static void add_real(struct json_writer *w, double real)
{
    enum { DIGITS_SAFE = 15, DIGITS_EXACT = 17 };
    char text[40];
    for (int digits = DIGITS_SAFE; digits <= DIGITS_EXACT; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            break;
    }
    json_add_raw(w, str_of(text));
}

static void add_container(struct json_writer *w, json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_array(value)) {
        json_begin_array(w);
        json_array_foreach(value, i, item)
            anthropic_add_value(w, item);
        json_end_array(w);
        return;
    }
    json_begin_object(w);
    json_object_foreach(value, key, item) {
        json_add_key(w, key);
        anthropic_add_value(w, item);
    }
    json_end_object(w);
}

void anthropic_add_value(struct json_writer *w, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        add_container(w, value);
        break;
    case JSON_STRING:
        json_add_string(w, anthropic_str(value));
        break;
    case JSON_INTEGER:
        json_add_int(w, (int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        add_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_add_bool(w, json_is_true(value));
        break;
    case JSON_NULL:
        json_add_null(w);
        break;
    }
}
