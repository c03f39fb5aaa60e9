/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names were seen already: of each only a hash of 64 bits is kept, under a key that is drawn
 * anew, so that names can't be chosen to collide. Less memory than the names themselves take.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct name_set {
    uint64_t *slots; /* owned; 0: free */
    size_t room;     /* a power of two, or 0 */
    size_t count;
    uint64_t key;
};

/* Adds a name; false when it was there. */
bool name_set_add(struct name_set *set, struct str name);
void name_set_fini(struct name_set *set);
