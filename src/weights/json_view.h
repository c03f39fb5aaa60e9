/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a view of its text: checked once, then looked up in place. Nothing is allocated, so that
 * a hostile header of 100 MB costs its own bytes and no tree of them (base/json.h builds one of
 * about ten times the text). For files that are read once, with few lookups: each one scans its
 * object.
 *
 * A value is a `struct str` of the checked text. What Python's writer emits beyond JSON (NaN,
 * Infinity) is taken as a number: config.json of Mamba has it. Pure, any thread.
 *
 *     struct str root, value;
 *     if (json_view_check(text, &root, err) < 0) ...
 *     if (json_view_member(root, "hidden_size", &value) && json_view_integer(value, &n) == 0) ...
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { JSON_VIEW_DEPTH_MAX = 32 };

enum json_view_kind {
    JSON_VIEW_NULL,
    JSON_VIEW_BOOL,
    JSON_VIEW_NUMBER,
    JSON_VIEW_STRING,
    JSON_VIEW_ARRAY,
    JSON_VIEW_OBJECT,
};

/* Checks that the text is one JSON value, at most JSON_VIEW_DEPTH_MAX deep. ERR_SYNTAX with the
 * byte where it breaks. `*ret` borrows from the text. */
int json_view_check(struct str text, struct str *ret, struct err *err) must_check;

/* The functions below take values of a checked text, or the empty view: that is null. */
enum json_view_kind json_view_kind(struct str value);

/* The first member of that name of an object; false when there is none, or it isn't an object. */
bool json_view_member(struct str object, const char *key, struct str *ret);

struct json_view_items {
    struct str rest;
    bool is_object;
};

/* Iterates over an array or object; nothing comes of other values. `ret_key` (without quotes, its
 * escapes left as they are) may be NULL; of an array's items it is empty. */
struct json_view_items json_view_items(struct str value);
bool json_view_next(struct json_view_items *items, struct str *ret_key, struct str *ret_value);

/* Items of an array, members of an object. */
size_t json_view_count(struct str value);

/* A number without fraction and sign. -EINVAL when it is none, -ERANGE when it is negative or above
 * UINT64_MAX. */
int json_view_integer(struct str value, uint64_t *ret) must_check;

/* Any number, also NaN; false when it is none. */
bool json_view_real(struct str value, double *ret);

/* A string without its quotes, escapes left as they are; empty for other values. */
struct str json_view_text(struct str value);

/* Whether it is `true`. */
bool json_view_is_true(struct str value);
