/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "gateway/json_bytes_priv.h"
#include "gateway/json_escape_priv.h"
#include "gateway/scan_priv.h"

#include <inttypes.h>

static const char *const wanted_keys[WANTED_COUNT] = {
    [WANTED_NONE] = "",
    [WANTED_MODEL] = "model",
    [WANTED_STREAM] = "stream",
    [WANTED_OPTIONS] = "stream_options",
    [WANTED_USAGE] = "include_usage",
    [WANTED_MAX_TOKENS] = "max_tokens",
    [WANTED_MAX_COMPLETION_TOKENS] = "max_completion_tokens",
    [WANTED_MAX_OUTPUT_TOKENS] = "max_output_tokens",
    [WANTED_MAX_TOKENS_TO_SAMPLE] = "max_tokens_to_sample",
    [WANTED_N] = "n",
    [WANTED_BEST_OF] = "best_of",
};

/* No two of the keys are equally long. */
static const uint8_t wanted_by_len[SCAN_KEY_MAX + 1] = {
    [1] = WANTED_N,
    [5] = WANTED_MODEL,
    [6] = WANTED_STREAM,
    [7] = WANTED_BEST_OF,
    [10] = WANTED_MAX_TOKENS,
    [13] = WANTED_USAGE,
    [14] = WANTED_OPTIONS,
    [17] = WANTED_MAX_OUTPUT_TOKENS,
    [20] = WANTED_MAX_TOKENS_TO_SAMPLE,
    [21] = WANTED_MAX_COMPLETION_TOKENS,
};

enum {
    SHOWN_MAX = 40, /* bytes of a wrong value that an error shows */
    BAD_BYTE = -1,  /* of the model's name; none of err.h's codes */
};

int scan_fault(const struct scan_cursor *c, const char *what)
{
    return err_set(c->err, ERR_SYNTAX, "the body is not valid JSON: %s at byte %" PRIu64, what,
                   scan_offset(c, c->at));
}

/* Decodes a key with escapes; false when it can't be one that is wanted. */
static bool decode_key(struct str raw, char key[SCAN_KEY_MAX + 1])
{
    size_t len = 0;
    for (size_t i = 0, n = 1; i < raw.len; i += n, n = 1) {
        char bytes[JSON_ESCAPE_OUT_MAX] = {raw.ptr[i]};
        if (raw.ptr[i] == '\\') {
            n = raw.len > i + 1 && raw.ptr[i + 1] == 'u' ? 6 : 2;
            if (raw.len < i + n || json_unescape(str_sub(raw.ptr + i, n), bytes) != 1)
                return false; /* all wanted keys are ASCII */
        }
        if (len == SCAN_KEY_MAX)
            return false;
        key[len++] = bytes[0];
    }
    key[len] = '\0';
    return true;
}

static enum wanted wanted_of(const struct scan *s, struct str key)
{
    enum wanted wanted = key.len <= SCAN_KEY_MAX ? wanted_by_len[key.len] : WANTED_NONE;
    if (wanted == WANTED_NONE || memcmp(wanted_keys[wanted], key.ptr, key.len) != 0)
        return WANTED_NONE;
    return (wanted == WANTED_USAGE) == s->in_options ? wanted : WANTED_NONE;
}

/* A key is whole: is its value wanted? */
int scan_take_key(struct scan_cursor *c, struct str raw)
{
    struct scan *s = c->s;
    char key[SCAN_KEY_MAX + 1];
    s->state = COLON;
    s->wanted = (uint8_t)wanted_of(s, raw);
    if (s->wanted == WANTED_NONE) {
        if (raw.len > SCAN_HELD_MAX || !memchr(raw.ptr, '\\', raw.len) || !decode_key(raw, key))
            return 0;
        s->wanted = (uint8_t)wanted_of(s, str_of(key));
        if (s->wanted == WANTED_NONE)
            return 0;
        return err_set(c->err, ERR_INVALID, "the key %s must be written without escapes", key);
    }
    if (s->seen & 1u << s->wanted)
        return err_set(c->err, ERR_INVALID, "the key %s comes twice", wanted_keys[s->wanted]);
    s->seen = (uint16_t)(s->seen | 1u << s->wanted);
    return 0;
}

int scan_wrong_type(const struct scan_cursor *c)
{
    const char *key = wanted_keys[c->s->wanted];
    switch ((enum wanted)c->s->wanted) {
    case WANTED_MODEL:
        return err_set(c->err, ERR_INVALID, "model must be a string");
    case WANTED_STREAM:
    case WANTED_USAGE:
        return err_set(c->err, ERR_INVALID, "%s must be true or false", key);
    case WANTED_OPTIONS:
        return err_set(c->err, ERR_INVALID, "stream_options must be an object or null");
    case WANTED_MAX_TOKENS:
    case WANTED_MAX_COMPLETION_TOKENS:
    case WANTED_MAX_OUTPUT_TOKENS:
    case WANTED_MAX_TOKENS_TO_SAMPLE:
    case WANTED_N:
    case WANTED_BEST_OF:
        return err_set(c->err, ERR_INVALID, "%s must be an integer or null", key);
    case WANTED_NONE:
    case WANTED_COUNT:
        break;
    }
    return scan_fault(c, "a value is missing");
}

/* The decoded byte or bytes go to the name's end. */
static int add_to_model(struct scan_cursor *c, const char *bytes, size_t n)
{
    struct scan *s = c->s;
    if (s->model_len + n > SCAN_MODEL_MAX)
        return err_set(c->err, ERR_TOO_LARGE, "model is longer than %d bytes", SCAN_MODEL_MAX);
    memcpy(s->request.model + s->model_len, bytes, n);
    s->model_len = (uint16_t)(s->model_len + n);
    return 0;
}

/* BAD_BYTE, 0 or what add_to_model() gives. */
static int decode_model_byte(struct scan_cursor *c, char byte)
{
    struct scan *s = c->s;
    char out[JSON_ESCAPE_OUT_MAX];
    if (s->escape_len == 0 && byte != '\\')
        return (unsigned char)byte < 0x20 ? BAD_BYTE : add_to_model(c, &byte, 1);
    s->escape[s->escape_len++] = byte;
    int n = json_unescape(str_sub(s->escape, s->escape_len), out);
    if (n <= 0)
        return n < 0 ? BAD_BYTE : 0;
    s->escape_len = 0;
    return add_to_model(c, out, (size_t)n);
}

int scan_take_model(struct scan_cursor *c)
{
    struct scan *s = c->s;
    const char *quote = json_string_end(c->at, c->end, &s->is_escaped);
    const char *end = quote ? quote : c->end;
    for (; c->at < end; c->at++) {
        int rc = decode_model_byte(c, *c->at);
        if (rc == BAD_BYTE)
            return scan_fault(c, "model has a bad escape or a control character");
        if (rc < 0)
            return rc;
    }
    if (!quote)
        return 0;
    if (s->escape_len)
        return scan_fault(c, "model has a bad escape");
    if (s->model_len == 0)
        return err_set(c->err, ERR_INVALID, "model must not be empty");
    c->at++;
    s->request.model_value =
        (struct scan_span){s->value_at, scan_offset(c, c->at) - s->value_at};
    s->state = COMMA;
    return 0;
}

static int take_flag(struct scan_cursor *c, struct str word, bool *ret)
{
    *ret = str_eq(word, STR("true"));
    return *ret || str_eq(word, STR("false")) || str_eq(word, STR("null")) ? 0 : scan_wrong_type(c);
}

/* As JSON writes it; beyond INT32_MAX it is that. Other readers may take 1e3 for 1000: refused. */
static int take_integer(struct scan_cursor *c, struct str word, int64_t *ret)
{
    bool is_negative = str_has_prefix(word, STR("-"));
    struct str digits = str_skip(word, is_negative);
    int64_t value = 0;
    bool is_integer = digits.len > 0 && (digits.ptr[0] != '0' || digits.len == 1) &&
                      word.len <= SCAN_HELD_MAX;
    for (size_t i = 0; is_integer && i < digits.len; i++) {
        is_integer = digits.ptr[i] >= '0' && digits.ptr[i] <= '9';
        value = value * 10 + (digits.ptr[i] - '0');
        value = value < INT32_MAX ? value : INT32_MAX;
    }
    if (!is_integer)
        return err_set(c->err, ERR_INVALID, "%s must be an integer or null, not %.*s",
                       wanted_keys[c->s->wanted],
                       (int)(word.len < SHOWN_MAX ? word.len : SHOWN_MAX), word.ptr);
    *ret = is_negative ? -value : value;
    return 0;
}

static int take_cap(struct scan_cursor *c, struct str word)
{
    int64_t value = -1;
    if (!str_eq(word, STR("null")) && take_integer(c, word, &value) < 0)
        return ERR_INVALID;
    if (value > c->s->request.output_cap)
        c->s->request.output_cap = value;
    return 0;
}

static int take_choices(struct scan_cursor *c, struct str word)
{
    int64_t value = 1;
    if (!str_eq(word, STR("null")) && take_integer(c, word, &value) < 0)
        return ERR_INVALID;
    if (value > c->s->request.choices && value <= SCAN_CHOICES_MAX)
        c->s->request.choices = value;
    return 0;
}

int scan_take_word(struct scan_cursor *c, struct str word)
{
    struct scan_request *r = &c->s->request;
    struct scan_span span = {c->s->value_at, scan_offset(c, c->at) - c->s->value_at};
    switch ((enum wanted)c->s->wanted) {
    case WANTED_STREAM:
        return take_flag(c, word, &r->stream);
    case WANTED_USAGE:
        r->usage_value = span;
        return take_flag(c, word, &r->asks_usage);
    case WANTED_OPTIONS:
        r->options_value = span;
        return str_eq(word, STR("null")) ? 0 : scan_wrong_type(c);
    case WANTED_MAX_TOKENS:
    case WANTED_MAX_COMPLETION_TOKENS:
    case WANTED_MAX_OUTPUT_TOKENS:
    case WANTED_MAX_TOKENS_TO_SAMPLE:
        return take_cap(c, word);
    case WANTED_N:
    case WANTED_BEST_OF:
        return take_choices(c, word);
    case WANTED_NONE:
    case WANTED_MODEL:
    case WANTED_COUNT:
        break;
    }
    return 0;
}

