/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/request.h"

#include "base/num.h"

/* The rest behind a string whose opening quote was passed; `*ret` is what stands between. */
static struct str pass_string(struct str rest, struct str *ret)
{
    const char *start = rest.ptr;
    for (;;) {
        size_t quote = str_find(rest, '"'), slashes = 0;
        while (slashes < quote && rest.ptr[quote - 1 - slashes] == '\\')
            slashes++;
        *ret = str_sub(start, (size_t)(rest.ptr - start) + quote);
        rest = str_skip(rest, quote + 1);
        if (slashes % 2 == 0 || rest.len == 0)
            return rest;
    }
}

/* The rest behind a value; `*ret` is its text, of a string without the quotes. */
static struct str pass_value(struct str rest, struct str *ret)
{
    const char *start = rest.ptr;
    unsigned depth = 0;
    struct str inner;
    if (rest.len && rest.ptr[0] == '"')
        return pass_string(str_skip(rest, 1), ret);
    while (rest.len) {
        char c = rest.ptr[0];
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        rest = c == '"' ? pass_string(str_skip(rest, 1), &inner) : str_skip(rest, 1);
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
    }
    *ret = str_trim(str_sub(start, (size_t)(rest.ptr - start)));
    return rest;
}

static struct str pass_space(struct str rest)
{
    while (rest.len && strchr(" \t\r\n,:", rest.ptr[0]))
        rest = str_skip(rest, 1);
    return rest;
}

/* The next key and value of an object whose brace was passed; false at its end. */
static bool next_member(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    *rest = pass_space(*rest);
    if (rest->len == 0 || rest->ptr[0] != '"')
        return false;
    *rest = pass_space(pass_string(str_skip(*rest, 1), ret_key));
    *rest = pass_value(*rest, ret_value);
    return true;
}

static bool find_true(struct str object, struct str name)
{
    struct str key, value;
    for (object = str_skip(object, 1); next_member(&object, &key, &value);)
        if (str_eq(key, name))
            return str_eq(value, STR("true"));
    return false;
}

static bool is_cap(struct str key)
{
    return str_eq(key, STR("max_tokens")) || str_eq(key, STR("max_completion_tokens")) ||
           str_eq(key, STR("max_output_tokens")) || str_eq(key, STR("n_predict"));
}

void members_read(struct str body, struct members *ret)
{
    struct str key, value;
    *ret = (struct members){.max_tokens = -1};
    body = pass_space(body);
    if (body.len == 0 || body.ptr[0] != '{')
        return;
    for (body = str_skip(body, 1); next_member(&body, &key, &value);) {
        int64_t number;
        if (str_eq(key, STR("stream")))
            ret->is_stream = str_eq(value, STR("true"));
        else if (str_eq(key, STR("stream_options")))
            ret->include_usage = find_true(value, STR("include_usage"));
        else if (str_eq(key, STR("model")))
            ret->model = value;
        else if (str_eq(key, STR("script")))
            ret->script = value;
        else if (is_cap(key) && num_parse_i64(value, 0, INT64_MAX, &number) == 0 &&
                 (ret->max_tokens < 0 || number < ret->max_tokens))
            ret->max_tokens = number;
    }
}
