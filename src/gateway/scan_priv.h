/* SPDX-License-Identifier: Apache-2.0 */
/* Between the skeleton of a request body (scan.c) and what is wanted of it (scan_wanted.c). */
#pragma once

#include "gateway/scan.h"

/* What the next byte belongs to. */
enum state {
    BEFORE, /* the outer brace */
    FIRST_KEY,
    KEY,
    IN_KEY,
    COLON,
    VALUE,
    IN_WORD,   /* a number, true, false or null */
    IN_MODEL,  /* the string that names the model */
    IN_STRING, /* a value that isn't wanted */
    IN_NESTED, /* the same, brackets and all */
    IN_NESTED_STRING,
    COMMA, /* or the brace that closes */
    AFTER,
};

enum wanted {
    WANTED_NONE,
    WANTED_MODEL,
    WANTED_STREAM,
    WANTED_OPTIONS,
    WANTED_USAGE, /* inside of stream_options, the others outside */
    WANTED_MAX_TOKENS,
    WANTED_MAX_COMPLETION_TOKENS,
    WANTED_MAX_OUTPUT_TOKENS,
    WANTED_MAX_TOKENS_TO_SAMPLE,
    WANTED_N,
    WANTED_BEST_OF,
    WANTED_COUNT
};

/* Where the scanner is in the present piece. */
struct scan_cursor {
    struct scan *s;
    const char *start, *at, *end;
    struct err *err;
};

/* A byte of the piece as an offset in the body. */
static inline uint64_t scan_offset(const struct scan_cursor *c, const char *p)
{
    return c->s->base + (uint64_t)(p - c->start);
}

/* ERR_SYNTAX: what is wrong, and where the cursor stands. */
int scan_fault(const struct scan_cursor *c, const char *what) must_check;

/* ERR_INVALID: the wanted value is of the wrong type. */
int scan_wrong_type(const struct scan_cursor *c) must_check;

/* A key is whole: says in `wanted` whether its value is, and refuses the second of its name. */
int scan_take_key(struct scan_cursor *c, struct str raw) must_check;

/* A wanted value that is a word is whole; the cursor stands behind it. */
int scan_take_word(struct scan_cursor *c, struct str word) must_check;

/* Goes on inside of the string that names the model, to behind its end if it is in the piece. */
int scan_take_model(struct scan_cursor *c) must_check;
