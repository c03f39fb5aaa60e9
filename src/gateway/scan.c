/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include "gateway/json_bytes_priv.h"
#include "gateway/scan_priv.h"

static const struct str payload_prefix = {"data:", 5};

/* The next byte that isn't blank, or -1 at the end of the piece. */
static int peek(struct scan_cursor *c)
{
    c->at = json_pass(c->at, c->end, JSON_BLANK);
    return c->at < c->end ? (unsigned char)*c->at : -1;
}

/* ---- keys and words: in place when they are whole, else collected ---- */

/*
 * `part` is the present piece's part of a key or a word. Gives the whole once `is_last`: the part
 * itself when there was none before. What is longer than `held` is cut, but not equal to any key.
 */
static struct str hold(struct scan *s, struct str part, bool is_last)
{
    if (is_last && s->held_len == 0)
        return str_sub(part.ptr, part.len <= SCAN_HELD_MAX ? part.len : SCAN_HELD_MAX + 1);
    size_t room = sizeof s->held - s->held_len;
    size_t n = part.len < room ? part.len : room;
    memcpy(s->held + s->held_len, part.ptr, n);
    s->held_len = (uint8_t)(s->held_len + n);
    struct str whole = str_sub(s->held, s->held_len);
    if (is_last)
        s->held_len = 0;
    return whole;
}

/* ---- strings that may be payloads ---- */

/* Bytes of the string's first KiB, `s->string_len` of which were there before. */
static void look_at_head(struct scan *s, const char *p, size_t n)
{
    unsigned gaps = 0;
    unsigned escapes = 0;
    for (size_t i = 0; i < n; i++) {
        gaps |= (unsigned char)(p[i] - 0x21) > 0x7e - 0x21;
        escapes |= p[i] == '\\';
    }
    for (size_t i = 0; i < n && s->payload_match == s->string_len + i; i++)
        if (s->payload_match < payload_prefix.len && p[i] == payload_prefix.ptr[s->payload_match])
            s->payload_match++;
    s->has_gap |= gaps != 0;
    s->has_escape |= escapes != 0;
}

static bool is_payload(const struct scan *s)
{
    if (s->has_gap)
        return false;
    return s->payload_match == payload_prefix.len ||
           (s->string_len > SCAN_PAYLOAD_MIN && !s->has_escape);
}

static void note_part(struct scan *s, const char *p, size_t n)
{
    if (s->string_len < SCAN_PAYLOAD_HEAD) {
        size_t rest = SCAN_PAYLOAD_HEAD - (size_t)s->string_len;
        look_at_head(s, p, n < rest ? n : rest);
    }
    s->string_len += n;
}

static void end_string(struct scan *s)
{
    if (is_payload(s))
        s->payload_bytes += s->string_len;
    s->string_len = 0;
    s->payload_match = 0;
    s->has_gap = s->has_escape = false;
}

/* From inside of a string to behind its end; false when the piece ends before. */
static bool pass_string(struct scan_cursor *c)
{
    struct scan *s = c->s;
    const char *inside = c->at;
    const char *quote = json_string_end(inside, c->end, &s->is_escaped);
    size_t n = (size_t)((quote ? quote : c->end) - inside);
    c->at = quote ? quote + 1 : c->end;
    /* Nearly all strings are whole, short and no URLs: not to be looked at. */
    if (quote && s->string_len == 0 && n <= SCAN_PAYLOAD_MIN && *inside != payload_prefix.ptr[0])
        return true;
    note_part(s, inside, n);
    if (quote)
        end_string(s);
    return quote != NULL;
}

/* ---- values ---- */

static int pass_value_string(struct scan_cursor *c, enum state inside, enum state behind)
{
    c->s->state = (uint8_t)(pass_string(c) ? behind : inside);
    return 0;
}

/* Brackets and strings up to the bracket that closes the value. `open` has a bit for each level. */
static int pass_nested(struct scan_cursor *c)
{
    struct scan *s = c->s;
    while ((c->at = json_next_structure(c->at, c->end)) < c->end) {
        char byte = *c->at;
        if (byte == '"') {
            c->at++;
            if (!pass_string(c)) {
                s->state = IN_NESTED_STRING;
                return 0;
            }
            continue;
        }
        if (byte == '{' || byte == '[') {
            if (s->depth == SCAN_DEPTH_MAX)
                return err_set(c->err, ERR_TOO_LARGE, "the body is nested deeper than %d levels",
                               SCAN_DEPTH_MAX);
            uint64_t bit = UINT64_C(1) << s->depth % 64;
            uint64_t *open = &s->open[s->depth / 64];
            *open = byte == '{' ? *open | bit : *open & ~bit;
            s->depth++;
        } else {
            s->depth--;
            if ((s->open[s->depth / 64] >> s->depth % 64 & 1) != (byte == '}'))
                return scan_fault(c, "a bracket closes another kind");
        }
        c->at++;
        if (s->depth == 0) {
            s->state = COMMA;
            return 0;
        }
    }
    return 0;
}

static int begin_value(struct scan_cursor *c)
{
    struct scan *s = c->s;
    int first = peek(c);
    if (first < 0)
        return 0;
    s->value_at = scan_offset(c, c->at);
    if (json_is((char)first, JSON_WORD) && s->wanted != WANTED_MODEL) {
        s->state = IN_WORD;
        return 0;
    }
    if (first != '"' && first != '{' && first != '[')
        return s->wanted == WANTED_MODEL ? scan_wrong_type(c) : scan_fault(c, "a value is missing");
    if (s->wanted == WANTED_NONE && first != '"') {
        s->state = IN_NESTED;
        return 0;
    }
    c->at++;
    if (s->wanted == WANTED_NONE)
        return pass_value_string(c, IN_STRING, COMMA);
    if (s->wanted == WANTED_MODEL && first == '"') {
        s->state = IN_MODEL;
        return 0;
    }
    if (s->wanted != WANTED_OPTIONS || first != '{')
        return scan_wrong_type(c);
    s->in_options = true;
    s->options_at = s->value_at;
    s->state = FIRST_KEY;
    return 0;
}

static int pass_word(struct scan_cursor *c)
{
    struct scan *s = c->s;
    const char *start = c->at;
    c->at = json_pass(c->at, c->end, JSON_WORD);
    bool is_last = c->at < c->end;
    if (is_last)
        s->state = COMMA;
    if (s->wanted == WANTED_NONE)
        return 0;
    struct str word = hold(s, str_sub(start, (size_t)(c->at - start)), is_last);
    return is_last ? scan_take_word(c, word) : 0;
}

/* ---- the skeleton ---- */

static int pass_key(struct scan_cursor *c)
{
    struct scan *s = c->s;
    const char *start = c->at;
    const char *quote = json_string_end(start, c->end, &s->is_escaped);
    c->at = quote ? quote + 1 : c->end;
    struct str part = str_sub(start, (size_t)((quote ? quote : c->end) - start));
    struct str key = hold(s, part, quote != NULL);
    return quote ? scan_take_key(c, key) : 0;
}

/* The brace that closes the body or stream_options. */
static void close_object(struct scan_cursor *c)
{
    struct scan *s = c->s;
    c->at++;
    s->state = s->in_options ? COMMA : AFTER;
    if (s->in_options)
        s->request.options_value =
            (struct scan_span){s->options_at, scan_offset(c, c->at) - s->options_at};
    s->in_options = false;
}

static int begin_key(struct scan_cursor *c)
{
    struct scan *s = c->s;
    int first = peek(c);
    if (first < 0)
        return 0;
    if (first == '}' && s->state == FIRST_KEY) {
        s->request.options_is_empty |= s->in_options;
        close_object(c);
        return 0;
    }
    if (first != '"')
        return scan_fault(c, "a key is missing");
    c->at++;
    s->state = IN_KEY;
    return pass_key(c);
}

static int pass_open(struct scan_cursor *c)
{
    int first = peek(c);
    if (first < 0)
        return 0;
    if (first != '{')
        return scan_fault(c, "an object is expected");
    c->at++;
    c->s->request.open_at = scan_offset(c, c->at);
    c->s->state = FIRST_KEY;
    return 0;
}

static int pass_colon(struct scan_cursor *c)
{
    int first = peek(c);
    if (first < 0)
        return 0;
    if (first != ':')
        return scan_fault(c, "a colon is missing");
    c->at++;
    c->s->state = VALUE;
    return begin_value(c);
}

static int pass_comma(struct scan_cursor *c)
{
    int first = peek(c);
    if (first < 0)
        return 0;
    if (first == '}') {
        close_object(c);
        return 0;
    }
    if (first != ',')
        return scan_fault(c, "a comma or brace is missing");
    c->at++;
    c->s->state = KEY;
    return begin_key(c);
}

static int step(struct scan_cursor *c)
{
    switch ((enum state)c->s->state) {
    case BEFORE:
        return pass_open(c);
    case FIRST_KEY:
    case KEY:
        return begin_key(c);
    case IN_KEY:
        return pass_key(c);
    case COLON:
        return pass_colon(c);
    case VALUE:
        return begin_value(c);
    case IN_WORD:
        return pass_word(c);
    case IN_MODEL:
        return scan_take_model(c);
    case IN_STRING:
        return pass_value_string(c, IN_STRING, COMMA);
    case IN_NESTED:
        return pass_nested(c);
    case IN_NESTED_STRING:
        return pass_value_string(c, IN_NESTED_STRING, IN_NESTED);
    case COMMA:
        return pass_comma(c);
    case AFTER:
        return peek(c) < 0 ? 0 : scan_fault(c, "something follows the object");
    }
    return 0;
}

void scan_init(struct scan *scan)
{
    *scan = (struct scan){.request = {.output_cap = -1, .choices = 1}};
}

int scan_feed(struct scan *scan, struct str piece, struct err *err)
{
    if (piece.len == 0)
        return 0;
    struct scan_cursor c = {scan, piece.ptr, piece.ptr, piece.ptr + piece.len, err};
    int rc = 0;
    while (rc == 0 && c.at < c.end)
        rc = step(&c);
    scan->base += piece.len;
    return rc;
}

int scan_end(struct scan *scan, struct err *err)
{
    static const char *const missing[] = {
        [BEFORE] = "an object is expected",
        [FIRST_KEY] = "a key is missing",
        [KEY] = "a key is missing",
        [IN_KEY] = "a string doesn't end",
        [COLON] = "a colon is missing",
        [VALUE] = "a value is missing",
        [IN_WORD] = "a comma or brace is missing",
        [IN_MODEL] = "a string doesn't end",
        [IN_STRING] = "a string doesn't end",
        [IN_NESTED] = "a bracket isn't closed",
        [IN_NESTED_STRING] = "a string doesn't end",
        [COMMA] = "a comma or brace is missing",
    };
    struct scan_cursor at_end = {.s = scan, .err = err};
    scan->request.prompt_bytes = scan->base - scan->payload_bytes;
    if (scan->base == 0)
        return err_set(err, ERR_SYNTAX, "the body is empty; a JSON object is expected");
    return scan->state == AFTER ? 0 : scan_fault(&at_end, missing[scan->state]);
}

bool scan_has_model(const struct scan *scan)
{
    return scan->request.model_value.len > 0;
}

int scan_request(struct str body, struct scan_request *ret, struct err *err)
{
    struct scan scan;
    scan_init(&scan);
    int rc = scan_feed(&scan, body, err);
    if (rc == 0)
        rc = scan_end(&scan, err);
    if (rc == 0)
        *ret = scan.request;
    return rc;
}
