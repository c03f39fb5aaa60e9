/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads JSON text that is there as a whole, member by member, without a tree: who calls decides
 * which values are entered and which are passed over. What is malformed ends the reading, and
 * `is_bad` stays set. Numbers and the kinds of closing brackets aren't checked. Pure.
 *
 *     struct json_reader r = json_reader_of(text);
 *     if (json_enter(&r, '{'))
 *         while (json_next_key(&r, &key))
 *             value = json_skip(&r);            // or json_enter() again
 */
#pragma once

#include "gateway/json_bytes_priv.h"

struct json_reader {
    const char *at, *end;
    bool is_bad;
};

static inline struct json_reader json_reader_of(struct str text)
{
    return (struct json_reader){.at = text.ptr, .end = text.ptr + text.len};
}

/* The next byte that isn't blank; 0 at the end. */
static inline char json_peek(struct json_reader *r)
{
    r->at = json_pass(r->at, r->end, JSON_BLANK);
    return r->at < r->end ? *r->at : '\0';
}

static inline bool json_fail(struct json_reader *r)
{
    r->at = r->end;
    r->is_bad = true;
    return false;
}

/* Behind an opening bracket of that kind, if the next value begins with it. */
static inline bool json_enter(struct json_reader *r, char open)
{
    if (json_peek(r) != open)
        return false;
    r->at++;
    return true;
}

/* A string with its quotes. */
static inline struct str json_skip_string(struct json_reader *r)
{
    bool is_escaped = false;
    const char *start = r->at;
    const char *quote = json_string_end(start + 1, r->end, &is_escaped);
    if (!quote) {
        json_fail(r);
        return str_sub(NULL, 0);
    }
    r->at = quote + 1;
    return str_sub(start, (size_t)(r->at - start));
}

/*
 * In an object or array that was entered, or behind one of its values: to the next one. False at
 * the bracket that closes, which is passed.
 */
static inline bool json_next_item(struct json_reader *r)
{
    char byte = json_peek(r);
    if (byte == '}' || byte == ']') {
        r->at++;
        return false;
    }
    if (byte == ',') {
        r->at++;
        byte = json_peek(r);
    }
    return byte ? true : json_fail(r);
}

/* The same of an object: gives the key without its quotes and stands before the value. */
static inline bool json_next_key(struct json_reader *r, struct str *ret)
{
    if (!json_next_item(r))
        return false;
    if (*r->at != '"')
        return json_fail(r);
    struct str key = json_skip_string(r);
    if (json_peek(r) != ':')
        return json_fail(r);
    r->at++;
    *ret = str_sub(key.ptr + 1, key.len - 2);
    return true;
}

/* A value's text, which is passed. Empty: there is none. */
static inline struct str json_skip(struct json_reader *r)
{
    char byte = json_peek(r);
    const char *start = r->at;
    size_t depth = 0;
    if (byte != '"' && byte != '{' && byte != '[') {
        r->at = json_pass(start, r->end, JSON_WORD);
        if (r->at == start)
            json_fail(r);
        return str_sub(start, (size_t)(r->at - start));
    }
    do {
        r->at = json_next_structure(r->at, r->end);
        if (r->at == r->end) {
            json_fail(r);
            return str_sub(NULL, 0);
        }
        if (*r->at == '"') {
            json_skip_string(r);
            continue;
        }
        depth += *r->at == '{' || *r->at == '[' ? 1 : (size_t)-1;
        r->at++;
    } while (depth > 0 && !r->is_bad);
    return r->is_bad ? str_sub(NULL, 0) : str_sub(start, (size_t)(r->at - start));
}
