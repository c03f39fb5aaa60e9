/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model_shape as JSON: between worker and control, and as control keeps it. Lossless and compact:
 * what is 0, false or empty is left out, equal layers in a row stand once, with their count. What
 * is read may come from anywhere: all bounds of model_shape.h hold for it afterwards.
 *
 *     {"version":1,"format":"gguf","kind":"llm","is_causal":true,"architecture":"qwen3",
 *      "parameter_count":596049920,...,"layers":[{"count":28,"cache":"full","head_count":16,...}],
 *      "parts":[{"name":"vision","bytes":836571136}]}
 *
 * Pure, any thread.
 */
#pragma once

#include "base/json.h"
#include "weights/model_shape.h"

enum {
    SHAPE_JSON_VERSION = 1,     /* grows when a member changes its meaning, or a new one matters */
    SHAPE_JSON_MAX = 256 << 10, /* bytes; no shape is larger */
};

/* Writes the shape as one value. Bytes of names that are no UTF-8 come out as U+FFFD. */
void model_shape_write(const struct model_shape *shape, struct json_writer *w);

/*
 * Reads one into `ret`. ERR_INVALID names the member and what is allowed; ERR_NEWER for another
 * version.
 */
int model_shape_read(const json_t *json, struct model_shape *ret, struct err *err) must_check;

/* The same for text. ERR_TOO_LARGE above SHAPE_JSON_MAX, ERR_SYNTAX. */
int model_shape_parse(struct str text, struct model_shape *ret, struct err *err) must_check;
