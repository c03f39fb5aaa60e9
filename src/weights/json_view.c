/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/json_view.h"

#include "base/utf8.h"

#include <errno.h>

static const char *const WORDS[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};

/* --- checking ------------------------------------------------------------------------------ */

struct check {
    struct str text;
    size_t at;
    unsigned depth;
    unsigned char closer[JSON_VIEW_DEPTH_MAX]; /* of the open objects and arrays */
    struct err *err;
};

static int fail(struct check *c, const char *what)
{
    return err_set(c->err, ERR_SYNTAX, "is not JSON: %s at byte %zu", what, c->at);
}

static int peek(const struct check *c)
{
    return c->at < c->text.len ? (unsigned char)c->text.ptr[c->at] : -1;
}

static bool is_space(int ch)
{
    return ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r';
}

static void pass_spaces(struct check *c)
{
    while (is_space(peek(c)))
        c->at++;
}

static int check_escape(struct check *c)
{
    const int ch = peek(c);
    if (ch < 0 || !strchr("\"\\/bfnrtu", ch))
        return fail(c, "unknown escape");
    c->at++;
    for (int i = 0; ch == 'u' && i < 4; i++, c->at++)
        if (peek(c) < 0 || !strchr("0123456789abcdefABCDEF", peek(c)))
            return fail(c, "unknown escape");
    return 0;
}

static int check_string(struct check *c)
{
    if (peek(c) != '"')
        return fail(c, "no string");
    c->at++;
    for (int ch; (ch = peek(c)) != '"';) {
        if (ch < 0x20)
            return fail(c, ch < 0 ? "unfinished string" : "control character");
        const size_t n = ch < 0x80 ? 1 : utf8_sequence(str_skip(c->text, c->at));
        if (n == 0)
            return fail(c, "invalid UTF-8");
        c->at += n;
        if (ch == '\\' && check_escape(c) < 0)
            return ERR_SYNTAX;
    }
    c->at++;
    return 0;
}

static size_t pass_digits(struct check *c)
{
    const size_t from = c->at;
    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at - from;
}

static int check_number(struct check *c)
{
    if (peek(c) == '-')
        c->at++;
    const bool leading_zero = peek(c) == '0';
    const size_t digits = pass_digits(c);
    if (digits == 0 || (leading_zero && digits > 1))
        return fail(c, "no value");
    if (peek(c) == '.') {
        c->at++;
        if (pass_digits(c) == 0)
            return fail(c, "no digit");
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->at++;
        if (peek(c) == '+' || peek(c) == '-')
            c->at++;
        if (pass_digits(c) == 0)
            return fail(c, "no digit");
    }
    return 0;
}

/* A value that holds no others. */
static int check_scalar(struct check *c)
{
    if (peek(c) == '"')
        return check_string(c);
    const struct str rest = str_skip(c->text, c->at);
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (str_has_prefix(rest, str_of(WORDS[i]))) {
            c->at += strlen(WORDS[i]);
            return 0;
        }
    }
    return check_number(c);
}

/* The key of an object's member and its colon. */
static int check_key(struct check *c)
{
    if (check_string(c) < 0)
        return ERR_SYNTAX;
    pass_spaces(c);
    if (peek(c) != ':')
        return fail(c, "no colon");
    c->at++;
    pass_spaces(c);
    return 0;
}

/* Opens as many levels as begin here; returns 1 when the last one is empty and closed again. */
static int check_opening(struct check *c)
{
    for (int ch; (ch = peek(c)) == '{' || ch == '[';) {
        if (c->depth == JSON_VIEW_DEPTH_MAX)
            return fail(c, "more than 32 levels");
        c->closer[c->depth++] = ch == '{' ? '}' : ']';
        c->at++;
        pass_spaces(c);
        if (peek(c) == c->closer[c->depth - 1]) {
            c->at++;
            c->depth--;
            return 1;
        }
        if (ch == '{' && check_key(c) < 0)
            return ERR_SYNTAX;
    }
    return 0;
}

/* Behind a value: closes levels up to a comma, and passes that with the next key. */
static int check_closing(struct check *c)
{
    for (; c->depth > 0; c->depth--) {
        pass_spaces(c);
        const int ch = peek(c);
        if (ch == ',') {
            c->at++;
            pass_spaces(c);
            return c->closer[c->depth - 1] == '}' ? check_key(c) : 0;
        }
        if (ch != c->closer[c->depth - 1])
            return fail(c, "no comma or closing bracket");
        c->at++;
    }
    return 0;
}

int json_view_check(struct str text, struct str *ret, struct err *err)
{
    struct check c = {.text = text, .err = err};
    pass_spaces(&c);
    const size_t from = c.at;
    do {
        const int opened = check_opening(&c);
        if (opened < 0 || (opened == 0 && check_scalar(&c) < 0) || check_closing(&c) < 0)
            return ERR_SYNTAX;
    } while (c.depth > 0);
    const size_t to = c.at;
    pass_spaces(&c);
    if (c.at < text.len)
        return fail(&c, "more text");
    *ret = str_sub(text.ptr + from, to - from);
    return 0;
}

/* --- looking up: the text is known to be well-formed ----------------------------------------- */

static size_t string_length(struct str s)
{
    size_t i = 1;
    while (i < s.len && s.ptr[i] != '"')
        i += s.ptr[i] == '\\' ? 2 : 1;
    return i + 1;
}

/* Length of the value at the front. */
static size_t value_length(struct str s)
{
    size_t i = 0;
    for (unsigned depth = 0; i < s.len;) {
        const char ch = s.ptr[i];
        if (ch == '"')
            i += string_length(str_skip(s, i));
        else
            i++;
        if (ch == '{' || ch == '[')
            depth++;
        else if (ch == '}' || ch == ']')
            depth--;
        else if (depth == 0 && ch != '"' && i < s.len && !strchr(",]} \n\t\r", s.ptr[i]))
            continue;
        if (depth == 0)
            break;
    }
    return i;
}

enum json_view_kind json_view_kind(struct str value)
{
    switch (value.len ? value.ptr[0] : 'n') {
    case '{':
        return JSON_VIEW_OBJECT;
    case '[':
        return JSON_VIEW_ARRAY;
    case '"':
        return JSON_VIEW_STRING;
    case 't':
    case 'f':
        return JSON_VIEW_BOOL;
    case 'n':
        return JSON_VIEW_NULL;
    default:
        return JSON_VIEW_NUMBER;
    }
}

struct json_view_items json_view_items(struct str value)
{
    const enum json_view_kind kind = json_view_kind(value);
    if (kind != JSON_VIEW_ARRAY && kind != JSON_VIEW_OBJECT)
        return (struct json_view_items){0};
    return (struct json_view_items){str_sub(value.ptr + 1, value.len - 2),
                                    kind == JSON_VIEW_OBJECT};
}

/* Drops spaces, commas and colons from the front. */
static struct str skip_between(struct str s)
{
    while (s.len && (is_space(s.ptr[0]) || s.ptr[0] == ',' || s.ptr[0] == ':'))
        s = str_skip(s, 1);
    return s;
}

bool json_view_next(struct json_view_items *items, struct str *ret_key, struct str *ret_value)
{
    struct str rest = skip_between(items->rest), key = {0};
    if (rest.len == 0)
        return false;
    if (items->is_object) {
        const size_t n = string_length(rest);
        key = str_sub(rest.ptr + 1, n - 2);
        rest = skip_between(str_skip(rest, n));
    }
    const size_t n = value_length(rest);
    if (ret_key)
        *ret_key = key;
    *ret_value = str_sub(rest.ptr, n);
    items->rest = str_skip(rest, n);
    return true;
}

bool json_view_member(struct str object, const char *key, struct str *ret)
{
    if (json_view_kind(object) != JSON_VIEW_OBJECT)
        return false;
    struct json_view_items items = json_view_items(object);
    struct str name, value;
    while (json_view_next(&items, &name, &value)) {
        if (str_eq(name, str_of(key))) {
            *ret = value;
            return true;
        }
    }
    return false;
}

size_t json_view_count(struct str value)
{
    struct json_view_items items = json_view_items(value);
    struct str item;
    size_t count = 0;
    while (json_view_next(&items, NULL, &item))
        count++;
    return count;
}

bool json_view_real(struct str value, double *ret)
{
    char text[64];
    if (json_view_kind(value) != JSON_VIEW_NUMBER || value.len >= sizeof text)
        return false;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    *ret = strtod(text, NULL);
    return true;
}

/* Digits only; -ERANGE when they are more than 64 bits hold. */
static int read_digits(struct str s, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -EINVAL;
        const unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        n = n * 10 + digit;
    }
    *ret = n;
    return 0;
}

int json_view_integer(struct str value, uint64_t *ret)
{
    double real;
    if (json_view_kind(value) != JSON_VIEW_NUMBER)
        return -EINVAL;
    const int rc = read_digits(value, ret);
    if (rc != -EINVAL)
        return rc;
    /* Some writers know one kind of number only: 4096.0 */
    if (!json_view_real(value, &real) || real != real)
        return -EINVAL;
    if (real < 0 || real >= 0x1p64)
        return -ERANGE;
    if ((double)(uint64_t)real != real)
        return -EINVAL;
    *ret = (uint64_t)real;
    return 0;
}

struct str json_view_text(struct str value)
{
    return json_view_kind(value) == JSON_VIEW_STRING ? str_sub(value.ptr + 1, value.len - 2)
                                                     : (struct str){0};
}

bool json_view_is_true(struct str value)
{
    return str_eq(value, STR("true"));
}
