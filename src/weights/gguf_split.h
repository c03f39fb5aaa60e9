/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the files of a split GGUF model: "NAME-00002-of-00005.gguf". Pure. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { GGUF_PARTS_MAX = 9999 };

struct gguf_split {
    struct str stem;      /* what stands before "-00002"; borrowed from the name */
    unsigned part, count; /* from 1; part <= count */
};

/* Whether a file's name is one of a split model. */
bool gguf_split_parse(struct str name, struct gguf_split *ret);

/* Name of another part, with the folders of the parsed one. Returns owned. */
char *gguf_split_name(const struct gguf_split *split, unsigned part);
