/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/parameters.h"

#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 64 };

/* An argument taken apart. */
struct argument {
    struct str name;  /* with its dashes */
    struct str value; /* that stands in the same argument */
    bool has_value;
};

static bool is_option(struct str text)
{
    return text.len > 1 && text.ptr[0] == '-' && (isalpha((unsigned char)text.ptr[1]) ||
                                                  text.ptr[1] == '-');
}

static struct argument take_apart(struct str text)
{
    size_t end = 0;
    while (end < text.len && text.ptr[end] != '=' && text.ptr[end] != ' ')
        end++;
    struct argument argument = {.name = str_sub(text.ptr, end), .has_value = end < text.len};
    if (argument.has_value)
        argument.value = str_trim(str_skip(text, end + 1));
    return argument;
}

/* The same but for '_', which GPUStack's users write for '-'. */
static bool is_same_name(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (a.ptr[i] != b.ptr[i] && !(a.ptr[i] == '_' && b.ptr[i] == '-'))
            return false;
    return true;
}

static bool is_named(const struct parameter *parameter, struct str name)
{
    if (str_has_prefix(name, STR("--")) && is_same_name(str_skip(name, 2),
                                                         str_of(parameter->name)))
        return true;
    struct str rest = str_of(parameter->shorts), item;
    while (str_split(&rest, ' ', &item))
        if (is_same_name(name, item))
            return true;
    return false;
}

static const struct parameter *find(const struct parameter *table, struct str name)
{
    for (; table->name; table++)
        if (is_named(table, name))
            return table;
    return NULL;
}

static bool needs_value(const struct parameter *parameter)
{
    return parameter->kind != PARAMETER_ON && parameter->kind != PARAMETER_OFF;
}

static int parse_real(struct str text, double *ret)
{
    char copy[NUMBER_SIZE];
    if (text.len == 0 || text.len >= sizeof copy || isspace((unsigned char)text.ptr[0]))
        return -EINVAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    *ret = strtod(copy, &end);
    return *end == '\0' && isfinite(*ret) ? 0 : -EINVAL;
}

/* Thousands for a small letter, 1024s for a capital one, as vLLM has it. */
static int parse_tokens(struct str text, double *ret)
{
    if (str_eq(text, STR("auto"))) {
        *ret = -1;
        return 0;
    }
    static const struct {
        char letter;
        double factor;
    } units[] = {{'k', 1e3}, {'K', 0x1p10}, {'m', 1e6}, {'M', 0x1p20}, {'g', 1e9}, {'G', 0x1p30},
                 {'t', 1e12}, {'T', 0x1p40}};
    double factor = 1;
    for (size_t i = 0; text.len && i < ARRAY_LEN(units); i++)
        if (text.ptr[text.len - 1] == units[i].letter)
            factor = units[i].factor;
    if (factor > 1)
        text.len--;
    const int rc = parse_real(text, ret);
    *ret = floor(*ret * factor);
    return rc;
}

static int parse_number(const struct parameter *parameter, struct str value, double *ret,
                        struct err *err)
{
    int64_t whole = 0;
    int rc;
    if (parameter->kind == PARAMETER_REAL) {
        rc = parse_real(value, ret);
    } else if (parameter->kind == PARAMETER_TOKENS) {
        rc = parse_tokens(value, ret);
    } else {
        rc = num_parse_i64(value, INT64_MIN / 1024, INT64_MAX / 1024, &whole);
        *ret = (double)whole;
    }
    if (rc == 0 && *ret >= parameter->min && *ret <= parameter->max)
        return 0;
    return err_set(err, ERR_INVALID, "--%s must be %s from %.10g to %.10g, not \"%.*s\"",
                   parameter->name, parameter->kind == PARAMETER_REAL ? "a number" : "an integer",
                   parameter->min, parameter->max, (int)(value.len < 80 ? value.len : 80),
                   value.ptr);
}

static int append(const struct parameter *parameter, struct str value,
                  struct parameter_list *list, struct err *err)
{
    if (list->count == PARAMETER_LIST_MAX)
        return err_set(err, ERR_TOO_LARGE, "--%s is there more than %d times", parameter->name,
                       PARAMETER_LIST_MAX);
    list->items[list->count++] = value;
    return 0;
}

static int store(const struct parameter *parameter, struct str value, void *values, struct err *err)
{
    void *slot = (char *)values + parameter->offset;
    double number = 0;
    int rc = 0;
    switch (parameter->kind) {
    case PARAMETER_COUNT:
        rc = parse_number(parameter, value, &number, err);
        if (rc == 0)
            *(uint64_t *)slot = (uint64_t)number;
        break;
    case PARAMETER_NUMBER:
    case PARAMETER_TOKENS:
        rc = parse_number(parameter, value, &number, err);
        if (rc == 0)
            *(int64_t *)slot = (int64_t)number;
        break;
    case PARAMETER_REAL:
        rc = parse_number(parameter, value, &number, err);
        if (rc == 0)
            *(double *)slot = number;
        break;
    case PARAMETER_TEXT:
    case PARAMETER_SWITCH:
        *(struct str *)slot = value;
        break;
    case PARAMETER_LIST:
        rc = append(parameter, value, slot, err);
        break;
    case PARAMETER_ON:
    case PARAMETER_OFF:
        *(bool *)slot = parameter->kind == PARAMETER_ON;
        break;
    }
    return rc;
}

int parameters_read(const struct parameter *table, const char *const *argv, size_t argc,
                    void *values, struct err *err)
{
    for (size_t i = 0; i < argc; i++) {
        const struct str text = str_trim(str_of(argv[i]));
        if (!is_option(text))
            continue;
        struct argument argument = take_apart(text);
        const struct parameter *parameter = find(table, argument.name);
        if (!parameter)
            continue;
        if (needs_value(parameter) && !argument.has_value) {
            const bool follows = i + 1 < argc && !is_option(str_of(argv[i + 1]));
            if (follows)
                argument.value = str_trim(str_of(argv[++i]));
            else if (parameter->kind == PARAMETER_SWITCH)
                argument.value = STR("on");
            else
                return err_set(err, ERR_INVALID, "--%s needs a value", parameter->name);
        }
        const int rc = store(parameter, argument.value, values, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
