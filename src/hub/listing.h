/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the APIs of hubs say of a repository's files: a page of Hugging Face's tree, an answer of
 * ModelScope. Hostile input: names that can't be those of files of a repository are refused.
 */
#pragma once

#include "weights/source.h"

/*
 * What tells a file's content. Hugging Face names large files (LFS) by SHA-256 and small ones as
 * git does, by the SHA-1 of "blob SIZE\0CONTENT"; ModelScope gives SHA-256.
 */
enum sum_kind { SUM_NONE, SUM_GIT_SHA1, SUM_SHA256 };

enum { SUM_TEXT_MAX = 65 }; /* hexadecimal, with the final 0 */

struct listed_file {
    char *name; /* with its folders: "unet/config.json"; owned */
    uint64_t bytes;
    enum sum_kind sum_kind;
    char sum[SUM_TEXT_MAX]; /* "" with SUM_NONE */
};

struct listing {
    struct listed_file *files; /* owned, with their names */
    size_t count;
};

/* Whether it is the name of a file below a folder: relative, no empty, "." or ".." parts, no
 * control characters, shorter than SOURCE_NAME_MAX. */
bool listing_is_file_name(struct str name);

/* A file as a text says it. */
struct listed_text {
    const char *name;     /* NULL: none */
    int64_t bytes;
    const char *sha256;   /* hexadecimal, or NULL; one that is malformed counts as NULL */
    const char *git_sha1; /* the same; of no interest beside the other one */
};

/* ERR_SYNTAX for a name or a size that can't be. */
int listing_add(struct listing *listing, const struct listed_text *text,
                struct err *err) must_check;

/* Adds the files of a page; folders are passed over. ERR_SYNTAX, or ERR_TOO_LARGE for too many. */
int listing_add_hugging_face(struct listing *listing, struct str json, struct err *err) must_check;
int listing_add_modelscope(struct listing *listing, struct str json, struct err *err) must_check;

/* By name. */
void listing_sort(struct listing *listing);
void listing_fini(struct listing *listing);
