/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at one path of this machine: whether a model's files are there, and what they are made of.
 * Blocks for as long as the file system does: on a thread of its own (io/detached.h). No state.
 */
#pragma once

#include "base/json.h"

#include <stdint.h>

enum inspection_state {
    INSPECTION_PRESENT,
    INSPECTION_MISSING,
    INSPECTION_UNREADABLE, /* with an identity: there, but no model; without: nobody can tell */
    INSPECTION_FORBIDDEN,
    INSPECTION_STATE_COUNT
};

/* "present". */
const char *inspection_state_name(enum inspection_state state);

struct inspection {
    enum inspection_state state;
    char *message;    /* owned; NULL: nothing to tell */
    char *identity;   /* owned; "": it wasn't found out. Of a single file bytes, time and a sum */
    uint64_t bytes;   /* of all files */
    bool was_read;    /* what the files are made of was looked at */
    char *storage;    /* owned; JSON of worker/storage.h; NULL: not known */
    char *shape;      /* owned; JSON of weights/shape_json.h; NULL: not looked at, or no model */
    char *projector;  /* owned; the same */
};

struct inspection_request {
    const char *path;
    bool wants_shape;
    const char *known_identity; /* content that was read before: isn't read again; NULL: none */
};

/* `ret` was zeroed. */
void inspect_path(const struct inspection_request *request, struct inspection *ret);

/* It couldn't be found out. */
void inspection_fail(struct inspection *inspection, const char *message);

void inspection_fini(struct inspection *inspection);
