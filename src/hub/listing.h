/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the APIs of hubs say of a repository's files: a page of Hugging Face's tree, an answer of
 * ModelScope. Hostile input: names that can't be those of files of a repository are refused.
 */
#pragma once

#include "weights/source.h"

struct listing {
    struct source_file *files; /* owned, with their names */
    size_t count;
};

/* Adds the files of a page; folders are passed over. ERR_SYNTAX, or ERR_TOO_LARGE for too many. */
int listing_add_hugging_face(struct listing *listing, struct str json, struct err *err) must_check;
int listing_add_modelscope(struct listing *listing, struct str json, struct err *err) must_check;

/* By name. */
void listing_sort(struct listing *listing);
void listing_fini(struct listing *listing);
