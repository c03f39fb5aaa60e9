/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/header_param.h"

static struct str skip_blanks(struct str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_skip(s, 1);
    return s;
}

static bool has_separator(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr("; \t\"", s.ptr[i]))
            return true;
    return false;
}

struct str header_param_type(struct str *value)
{
    struct str type = {0};
    str_split(value, ';', &type);
    return str_trim(type);
}

/* A value in quotes at the front of `*rest`, or one without up to a blank or ';'. */
static int take_value(struct str *rest, struct str *ret)
{
    bool is_quoted = str_has_prefix(*rest, STR("\""));
    struct str text = str_skip(*rest, is_quoted);
    size_t n = 0;
    if (is_quoted) {
        n = str_find(text, '"');
        if (n == text.len || (n > 0 && text.ptr[n - 1] == '\\'))
            return ERR_SYNTAX;
    } else {
        while (n < text.len && !strchr("; \t\"", text.ptr[n]))
            n++;
    }
    *ret = str_sub(text.ptr, n);
    *rest = str_skip(text, n + is_quoted);
    return is_quoted || n ? 0 : ERR_SYNTAX;
}

int header_param_next(struct str *rest, struct header_param *ret)
{
    struct str text = skip_blanks(*rest);
    if (text.len == 0)
        return 0;
    size_t n = str_find(text, '=');
    ret->name = str_trim(str_sub(text.ptr, n));
    text = skip_blanks(str_skip(text, n + 1));
    if (ret->name.len == 0 || has_separator(ret->name) || take_value(&text, &ret->value) < 0)
        return ERR_SYNTAX;
    text = skip_blanks(text);
    if (text.len && text.ptr[0] != ';')
        return ERR_SYNTAX;
    *rest = str_skip(text, 1);
    return 1;
}
