/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include "base/mem.h"

#include <stdint.h>

enum { KEY_MAX = 16 }; /* decoded bytes of a key that could be a wanted one */

struct cursor {
    const char *start, *at, *end;
    struct err *err;
};

enum wanted { WANTED_NONE, WANTED_MODEL, WANTED_STREAM };

static int fault(const struct cursor *c, const char *what)
{
    return err_set(c->err, ERR_SYNTAX, "the body is not valid JSON: %s at byte %zu", what,
                   (size_t)(c->at - c->start));
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

/* The next byte that isn't blank, or -1 at the end. */
static int peek(struct cursor *c)
{
    skip_blanks(c);
    return c->at < c->end ? (unsigned char)*c->at : -1;
}

static int expect(struct cursor *c, char wanted, const char *what)
{
    if (peek(c) != (unsigned char)wanted)
        return fault(c, what);
    c->at++;
    return 0;
}

/* A quote ends the string unless an odd number of backslashes stands before it. */
static bool is_escaped(const char *quote, const char *start)
{
    const char *p = quote;
    while (p > start && p[-1] == '\\')
        p--;
    return (quote - p) % 2 != 0;
}

/* From the opening quote to behind the closing one; gives what is between, escapes and all. */
static int take_string(struct cursor *c, struct str *ret)
{
    const char *start = ++c->at;
    const char *from = start; /* backslashes before it belong to quotes that were seen already */
    for (;;) {
        const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
        if (!quote) {
            c->at = c->end;
            return fault(c, "a string doesn't end");
        }
        c->at = quote + 1;
        if (!is_escaped(quote, from)) {
            *ret = str_sub(start, (size_t)(quote - start));
            return 0;
        }
        from = c->at;
    }
}

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

/* Four hex digits behind "\u" from the front of `text`; -1 when they aren't. */
static int32_t take_code_unit(struct str *text)
{
    if (text->len < 6 || text->ptr[0] != '\\' || text->ptr[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(text->ptr[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    *text = str_skip(*text, 6);
    return unit;
}

/* A code point from one escape or from a surrogate pair of two; -1 when it is none. */
static int32_t take_code_point(struct str *text)
{
    int32_t high = take_code_unit(text);
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff)
        return -1;
    int32_t low = take_code_unit(text);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static size_t encode_utf8(int32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | point);
    return n;
}

/* One escape from the front of `text` as UTF-8; 0 when it isn't valid or is a NUL. */
static size_t take_escape(struct str *text, char out[4])
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (text->len < 2)
        return 0;
    if (text->ptr[1] == 'u') {
        int32_t point = take_code_point(text);
        return point > 0 ? encode_utf8(point, out) : 0;
    }
    const char *name = memchr(names, text->ptr[1], sizeof names - 1);
    if (!name)
        return 0;
    out[0] = values[name - names];
    *text = str_skip(*text, 2);
    return 1;
}

/*
 * Decodes the inside of a string into `out`, which has room for max + 1 bytes. ERR_TOO_LARGE when
 * it doesn't fit, ERR_SYNTAX for a bad escape or a control character.
 */
static int decode_string(struct str text, size_t max, char *out)
{
    size_t len = 0;
    while (text.len) {
        char bytes[4] = {text.ptr[0]};
        size_t n = 1;
        if (text.ptr[0] == '\\')
            n = take_escape(&text, bytes);
        else if ((unsigned char)text.ptr[0] < 0x20)
            n = 0;
        else
            text = str_skip(text, 1);
        if (n == 0)
            return ERR_SYNTAX;
        if (len + n > max)
            return ERR_TOO_LARGE;
        memcpy(out + len, bytes, n);
        len += n;
    }
    out[len] = '\0';
    return 0;
}

/* Numbers, true, false, null: a run of the bytes they are made of. */
static int take_word(struct cursor *c, struct str *ret)
{
    const char *start = c->at;
    while (c->at < c->end &&
           ((*c->at >= '0' && *c->at <= '9') || (*c->at >= 'a' && *c->at <= 'z') || *c->at == '-' ||
            *c->at == '+' || *c->at == '.' || *c->at == 'E'))
        c->at++;
    if (c->at == start)
        return fault(c, "a value is missing");
    *ret = str_sub(start, (size_t)(c->at - start));
    return 0;
}

/* From an opening bracket to behind the one that closes it. `open` has a bit for each level. */
static int skip_nested(struct cursor *c)
{
    uint64_t open[SCAN_DEPTH_MAX / 64] = {0};
    struct str ignored;
    unsigned depth = 0;
    while (c->at < c->end) {
        char byte = *c->at;
        if (byte == '"') {
            if (take_string(c, &ignored) < 0)
                return ERR_SYNTAX;
            continue;
        }
        if (byte == '{' || byte == '[') {
            if (depth == SCAN_DEPTH_MAX)
                return err_set(c->err, ERR_TOO_LARGE, "the body is nested deeper than %d levels",
                               SCAN_DEPTH_MAX);
            uint64_t bit = UINT64_C(1) << depth % 64;
            open[depth / 64] = byte == '{' ? open[depth / 64] | bit : open[depth / 64] & ~bit;
            depth++;
        } else if (byte == '}' || byte == ']') {
            depth--;
            if ((open[depth / 64] >> depth % 64 & 1) != (byte == '}'))
                return fault(c, "a bracket closes another kind");
        }
        c->at++;
        if (depth == 0)
            return 0;
    }
    return fault(c, "a bracket isn't closed");
}

static int skip_value(struct cursor *c)
{
    struct str ignored;
    switch (peek(c)) {
    case '"':
        return take_string(c, &ignored);
    case '{':
    case '[':
        return skip_nested(c);
    default:
        return take_word(c, &ignored);
    }
}

/* Which wanted key the inside of a key string is. A key that can't be decoded is none of them. */
static enum wanted key_wanted(struct str raw)
{
    char key[KEY_MAX + 1];
    if (decode_string(raw, KEY_MAX, key) < 0)
        return WANTED_NONE;
    if (strcmp(key, "model") == 0)
        return WANTED_MODEL;
    return strcmp(key, "stream") == 0 ? WANTED_STREAM : WANTED_NONE;
}

static int take_model(struct cursor *c, struct scan *scan)
{
    struct str raw;
    if (peek(c) != '"')
        return err_set(c->err, ERR_INVALID, "model must be a string");
    if (take_string(c, &raw) < 0)
        return ERR_SYNTAX;
    int rc = decode_string(raw, SCAN_MODEL_MAX, scan->model);
    if (rc == ERR_TOO_LARGE)
        return err_set(c->err, rc, "model is longer than %d bytes", SCAN_MODEL_MAX);
    if (rc < 0)
        return fault(c, "model has a bad escape or a control character before");
    if (scan->model[0] == '\0')
        return err_set(c->err, ERR_INVALID, "model must not be empty");
    return 0;
}

static int take_stream(struct cursor *c, struct scan *scan)
{
    struct str word = {0};
    int first = peek(c);
    if (first >= 'a' && first <= 'z' && take_word(c, &word) < 0)
        return ERR_SYNTAX;
    scan->stream = str_eq(word, STR("true"));
    if (!scan->stream && !str_eq(word, STR("false")) && !str_eq(word, STR("null")))
        return err_set(c->err, ERR_INVALID, "stream must be true or false");
    return 0;
}

/* One "key": value. `seen` has a bit for each wanted key that came already. */
static int take_member(struct cursor *c, unsigned *seen, struct scan *scan)
{
    struct str raw;
    if (peek(c) != '"')
        return fault(c, "a key is missing");
    if (take_string(c, &raw) < 0 || expect(c, ':', "a colon is missing") < 0)
        return ERR_SYNTAX;
    enum wanted wanted = key_wanted(raw);
    if (wanted == WANTED_NONE)
        return skip_value(c);
    const char *name = wanted == WANTED_MODEL ? "model" : "stream";
    if (!str_eq(raw, str_of(name)))
        return err_set(c->err, ERR_INVALID, "the key %s must be written without escapes", name);
    if (*seen & 1u << wanted)
        return err_set(c->err, ERR_INVALID, "the key %s comes twice", name);
    *seen |= 1u << wanted;
    return wanted == WANTED_MODEL ? take_model(c, scan) : take_stream(c, scan);
}

static int take_members(struct cursor *c, struct scan *scan)
{
    unsigned seen = 0;
    if (peek(c) == '}')
        return 0;
    for (;;) {
        int rc = take_member(c, &seen, scan);
        if (rc < 0)
            return rc;
        if (peek(c) != ',')
            return 0;
        c->at++;
    }
}

int scan_request(struct str body, struct scan *ret, struct err *err)
{
    struct cursor c = {.start = body.ptr, .at = body.ptr, .end = body.ptr + body.len, .err = err};
    struct scan scan = {0};
    if (body.len == 0)
        return err_set(err, ERR_SYNTAX, "the body is empty; a JSON object is expected");
    if (expect(&c, '{', "an object is expected") < 0)
        return ERR_SYNTAX;
    int rc = take_members(&c, &scan);
    if (rc < 0)
        return rc;
    if (expect(&c, '}', "a comma or brace is missing") < 0)
        return ERR_SYNTAX;
    if (peek(&c) != -1)
        return fault(&c, "something follows the object");
    *ret = scan;
    return 0;
}
