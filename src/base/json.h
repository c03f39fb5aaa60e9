/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: reading through jansson with limits, writing by appending to a buffer.
 *
 * Reading is for API bodies and small files (control plane); the gateway's hot path has a scanner
 * of its own. Writing never fails and never builds a tree. Pure, any thread.
 *
 *     struct json_writer w = json_writer_into(&buf);
 *     json_begin_object(&w);
 *     json_add_key(&w, "name"); json_add_string(&w, STR("hello"));
 *     json_end_object(&w);                                  // {"name":"hello"}
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

enum {
    JSON_TEXT_MAX = 16 << 20, /* bytes that json_read() takes at most */
    JSON_DEPTH_MAX = 64,      /* nesting that the writer supports */
};

/*
 * Parses one JSON value; the whole text must be used up. Duplicate keys and invalid UTF-8 are
 * refused. ERR_SYNTAX with line and column, ERR_TOO_LARGE. `*ret` is owned: json_decref() it.
 */
int json_read(struct str text, json_t **ret, struct err *err) must_check;

/* Cleanup for `auto_fini(json_release) json_t *root = NULL;` */
void json_release(json_t **root);

struct json_writer {
    struct buf *out;                    /* borrowed */
    unsigned depth;                     /* open objects and arrays */
    bool after_key;                     /* a key was written, its value is due */
    unsigned char used[JSON_DEPTH_MAX]; /* per level: something was written, a comma is due */
};

struct json_writer json_writer_into(struct buf *out);

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_add_key(struct json_writer *w, const char *key);

/* Values. Invalid UTF-8 in a string is written as U+FFFD; a NULL C string becomes null. */
void json_add_string(struct json_writer *w, struct str value);
void json_add_cstring(struct json_writer *w, const char *value);
void json_add_int(struct json_writer *w, int64_t value);
void json_add_double(struct json_writer *w, double value); /* NaN and infinity become null */
void json_add_bool(struct json_writer *w, bool value);
void json_add_null(struct json_writer *w);

/* Appends a string as JSON, without a writer. */
void json_quote(struct str text, struct buf *out);

/* Text that is JSON already, inserted as it is. */
void json_add_raw(struct json_writer *w, struct str value);

/* A tree of jansson's, serialised in its own key order. */
void json_add_tree(struct json_writer *w, const json_t *value);

/* Wall-clock milliseconds as an ISO 8601 string; 0 becomes null. */
void json_add_time(struct json_writer *w, int64_t wall_ms);

/* Key and value in one call. */
void json_put_string(struct json_writer *w, const char *key, const char *value);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_bool(struct json_writer *w, const char *key, bool value);

/* String member of an object, or NULL. Borrows from `object`. */
const char *json_member_string(const json_t *object, const char *key);

/* Takes an integer, also one that is written as a real without a fraction: some clients know one
 * kind of number only. False for anything else. */
bool json_take_integer(const json_t *value, int64_t *ret);

/* Integer member of an object, or `fallback`. */
int64_t json_member_int(const json_t *object, const char *key, int64_t fallback);
