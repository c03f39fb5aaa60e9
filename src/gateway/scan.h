/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway needs to know of a request body, found in one pass without a tree: the strings
 * and flags at the top level of a JSON object. The body itself goes to the engine byte for byte.
 *
 * It checks the skeleton (brackets, keys, colons, commas, strings that end), not numbers or UTF-8:
 * the engine parses the whole. What it does promise is that the engine can't read another value
 * than it did: a wanted key that comes twice or is written with escapes is refused. Pure, any
 * thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum {
    SCAN_DEPTH_MAX = 256, /* nested arrays and objects */
    SCAN_MODEL_MAX = 256, /* bytes of a model's name, decoded */
};

struct scan {
    char model[SCAN_MODEL_MAX + 1]; /* decoded; empty when the body names none */
    bool stream;                    /* false when absent or null */
};

/*
 * Scans `body`. ERR_SYNTAX when it isn't such an object; ERR_INVALID when a wanted key has the
 * wrong type, comes twice or is escaped; ERR_TOO_LARGE when nested too deeply or the model's name
 * is too long. The text names the key or the offset.
 */
int scan_request(struct str body, struct scan *ret, struct err *err) must_check;
