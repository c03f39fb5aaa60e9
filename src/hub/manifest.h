/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was downloaded for one model, as a file of JSON beside it:
 *
 *     {"version":1,"place":"hf:OWNER/REPO","pattern":"*Q8_0*","revision":"<commit>",
 *      "folder":"huggingface/OWNER/REPO","entry":"x-Q8_0.gguf",
 *      "files":[{"name":"x-Q8_0.gguf","size":639446688,"sha256":"..."}]}
 *
 * It is written last, so what it lists is whole; and only what one lists is ever deleted. Others
 * write to the same disk: what is read is checked. Pure.
 */
#pragma once

#include "hub/listing.h"

enum { MANIFEST_BYTES_MAX = 8 << 20 };

struct manifest {
    char *place;    /* owned, as all of them */
    char *pattern;  /* NULL: the whole repository */
    char *revision; /* "" when the hub didn't tell */
    char *folder;   /* of the files, below the cache */
    char *entry;    /* for the engine; NULL: the folder */
    struct listing files;
};

/* ERR_SYNTAX or ERR_INVALID for anything that we wouldn't write. `ret` is zeroed before. */
int manifest_read(struct str json, struct manifest *ret, struct err *err) must_check;
void manifest_write(const struct manifest *manifest, struct buf *out);
void manifest_fini(struct manifest *manifest);

/* The listed file of that name, or NULL. */
const struct listed_file *manifest_find(const struct manifest *manifest, const char *name);
