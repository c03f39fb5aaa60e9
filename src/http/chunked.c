/* SPDX-License-Identifier: Apache-2.0 */
#include "http/char_priv.h"
#include "http/message.h"

enum {
    CHUNK_DIGITS_MAX = 15,    /* hex digits of a size: below 2^60, so `left` can't overflow */
    TRAILER_BYTES_MAX = 8192, /* all trailers together; they are only skipped */
};

enum chunked_state {
    CHUNK_SIZE, /* the zero value: a fresh decoder */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END_LF,
    CHUNKED_DONE,
};

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of the size line; -1 when it may not stand there. */
static int step_size(struct http_chunked *s, unsigned char c)
{
    int digit = hex_digit(c);
    if (digit >= 0 && s->digits < CHUNK_DIGITS_MAX) {
        s->left = s->left << 4 | (unsigned)digit;
        s->digits++;
        return CHUNK_SIZE;
    }
    return c == '\r' && s->digits > 0 ? CHUNK_SIZE_LF : -1;
}

static int step_size_end(struct http_chunked *s, unsigned char c)
{
    if (c != '\n')
        return -1;
    s->digits = 0;
    return s->left ? CHUNK_DATA : TRAILER_START;
}

/* The next state after `c`, or -1. Trailers are held to the grammar of headers, then dropped. */
static int step(struct http_chunked *s, unsigned char c)
{
    switch ((enum chunked_state)s->state) {
    case CHUNK_SIZE:
        return step_size(s, c);
    case CHUNK_SIZE_LF:
        return step_size_end(s, c);
    case CHUNK_DATA_CR:
        return c == '\r' ? CHUNK_DATA_LF : -1;
    case CHUNK_DATA_LF:
        return c == '\n' ? CHUNK_SIZE : -1;
    case TRAILER_START:
        if (c == '\r')
            return TRAILER_END_LF;
        return http_char_is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_NAME:
        if (c == ':')
            return TRAILER_VALUE;
        return http_char_is_token(c) ? TRAILER_NAME : -1;
    case TRAILER_VALUE:
        if (c == '\r')
            return TRAILER_LF;
        return http_char_is_value(c) ? TRAILER_VALUE : -1;
    case TRAILER_LF:
        return c == '\n' ? TRAILER_START : -1;
    case TRAILER_END_LF:
        return c == '\n' ? CHUNKED_DONE : -1;
    case CHUNK_DATA:
    case CHUNKED_DONE:
        break;
    }
    return -1;
}

static struct str take_payload(struct http_chunked *s, struct str *data)
{
    size_t n = data->len < s->left ? data->len : (size_t)s->left;
    struct str payload = str_sub(data->ptr, n);
    *data = str_skip(*data, n);
    s->left -= n;
    if (s->left == 0)
        s->state = CHUNK_DATA_CR;
    return payload;
}

static bool trailer_is_too_long(struct http_chunked *s)
{
    return s->state >= TRAILER_START && ++s->trailer_bytes > TRAILER_BYTES_MAX;
}

int http_chunked_decode(struct http_chunked *state, struct str *data, struct str *ret_payload,
                        struct err *err)
{
    *ret_payload = (struct str){0};
    while (data->len && state->state != CHUNKED_DONE) {
        if (state->state == CHUNK_DATA) {
            *ret_payload = take_payload(state, data);
            return 0;
        }
        unsigned char c = (unsigned char)data->ptr[0];
        int next = trailer_is_too_long(state) ? -1 : step(state, c);
        if (next < 0)
            return err_set(err, ERR_SYNTAX, "chunked body: byte 0x%02x may not stand there", c);
        state->state = (unsigned char)next;
        *data = str_skip(*data, 1);
    }
    return state->state == CHUNKED_DONE;
}
