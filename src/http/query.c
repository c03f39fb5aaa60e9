/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "http/message.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte of the escape at the front of `text`, or -1 when it is malformed or a NUL. */
static int escape_value(struct str text)
{
    if (text.len < 3)
        return -1;
    int high = hex_value(text.ptr[1]);
    int low = hex_value(text.ptr[2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0))
        return -1;
    return high << 4 | low;
}

/* Form decoding never fails: a bad escape stays as it is, as in the WHATWG URL standard. */
static char *form_decode(struct str text)
{
    struct buf out = {0};
    while (text.len) {
        int escaped = text.ptr[0] == '%' ? escape_value(text) : -1;
        if (escaped >= 0)
            buf_add_char(&out, (char)escaped);
        else
            buf_add_char(&out, text.ptr[0] == '+' ? ' ' : text.ptr[0]);
        text = str_skip(text, escaped >= 0 ? 3 : 1);
    }
    return buf_take(&out);
}

bool http_query_next(struct str *query, char **ret_name, char **ret_value)
{
    struct str pair;
    do {
        if (!str_split(query, '&', &pair))
            return false;
    } while (pair.len == 0);
    size_t equals = str_find(pair, '=');
    *ret_name = form_decode(str_sub(pair.ptr, equals));
    *ret_value = form_decode(str_skip(pair, equals + 1));
    return true;
}

char *http_query_get(struct str query, const char *name)
{
    char *key, *value;
    while (http_query_next(&query, &key, &value)) {
        bool is_it = strcmp(key, name) == 0;
        free(key);
        if (is_it)
            return value;
        free(value);
    }
    return NULL;
}

int http_percent_decode(struct str text, char **ret, struct err *err)
{
    struct buf out = {0};
    struct str rest = text;
    while (rest.len) {
        bool escape = rest.ptr[0] == '%';
        int c = escape ? escape_value(rest) : (unsigned char)rest.ptr[0];
        if (c <= 0) {
            buf_fini(&out);
            return err_set(err, ERR_SYNTAX, "bad percent-escape at byte %zu of the path",
                           text.len - rest.len);
        }
        buf_add_char(&out, (char)c);
        rest = str_skip(rest, escape ? 3 : 1);
    }
    *ret = buf_take(&out);
    return 0;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *http_percent_encode(struct str text)
{
    struct buf out = {0};
    for (size_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.ptr[i]))
            buf_add_char(&out, text.ptr[i]);
        else
            buf_printf(&out, "%%%02X", (unsigned char)text.ptr[i]);
    }
    return buf_take(&out);
}
