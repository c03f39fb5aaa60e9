/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a repository a model needs, and which of them an engine gets. Pure.
 *
 * With a pattern ("*Q4_K_M*", a name; '*' matches '/' too): of GGUF files the first that matches,
 * in the order of names, with the other parts of a split; of others all that match. Without: all
 * files, and then, beside .safetensors, none that hold the same weights in another format; a
 * repository of GGUF files must have just one.
 *
 * Beside a GGUF model the projector in its folder ("mmproj*.gguf"), of several the most precise.
 */
#pragma once

#include "hub/listing.h"

struct selection {
    bool *chosen;      /* owned; for each file of the listing */
    size_t count;      /* how many are */
    uint64_t bytes;    /* of all that are */
    const char *entry; /* name of the file for the engine, borrowed from the listing; NULL: it gets
                          the folder */
};

/* ERR_NOT_FOUND or ERR_INVALID, naming up to SELECTION_NAMES of the files that there are. The
 * listing is sorted, and borrowed. `ret` is zeroed before. */
enum { SELECTION_NAMES = 5 };
int selection_make(const struct listing *listing, const char *pattern, struct selection *ret,
                   struct err *err) must_check;

void selection_fini(struct selection *selection);
