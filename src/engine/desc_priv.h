/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict reading of a description: one YAML mapping into a struct by a table of keys. No nesting
 * but lists of text, maps of text and sections with keys of their own; unknown and repeated keys
 * and wrong kinds are errors that name file, line and key. Private to engine/.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum desc_kind {
    DESC_TEXT,    /* char * */
    DESC_PATH,    /* char *; begins with '/' */
    DESC_INT,     /* int64_t with min and max */
    DESC_BOOL,    /* bool */
    DESC_TEXTS,   /* struct string_list; nothing empty in it */
    DESC_MAP,     /* struct string_map: names of environment variables and their values */
    DESC_FLAGS,   /* unsigned: a list of names, bit number = place in `names` */
    DESC_SECTION, /* a mapping with the keys `section`, into the struct at `offset` */
};

struct desc_key {
    const char *name;
    enum desc_kind kind;
    size_t offset;
    bool is_required;
    int64_t min, max;               /* DESC_INT */
    const char *const *names;       /* DESC_FLAGS, ended by NULL */
    const struct desc_key *section; /* DESC_SECTION: offsets count from the section's struct */
    size_t section_count;
};

enum {
    DESC_FILE_MAX = 64 << 10,
    DESC_TEXT_MAX = 4096,
    DESC_ITEMS_MAX = 256, /* of a list or map */
};

/*
 * Reads `text` into `out`, a zeroed struct or one with defaults; `file` is for error texts. On
 * failure `out` may be filled in part: it stays the caller's to free. ERR_SYNTAX, ERR_INVALID.
 */
int desc_read(const char *file, struct str text, const struct desc_key *keys, size_t key_count,
              void *out, struct err *err) must_check;
