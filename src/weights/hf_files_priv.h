/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a folder an engine loads: a repository often holds the same weights several times
 * (safetensors beside .bin, consolidated*.safetensors, fp16 variants, original/). None counts
 * twice.
 */
#pragma once

#include "base/err.h"
#include "weights/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HF_FILES_MAX = 2048, /* files of weights; known models have up to 256 */
    HF_REMOTE_MAX = 200000, /* bytes that are read of a hub's repository in all, but for files that
                               must be read (config.json) */
    /* Bytes of an index that is read from a hub, SOURCE_SMALL_MAX of a local one; of a longer one
     * the names of the shards tell ("model-00002-of-00004.safetensors"). */
    HF_REMOTE_INDEX_MAX = 64 << 10,
};

/* Of all files together; the limit of a shape's bytes, too. */
#define HF_BYTES_MAX (UINT64_C(1) << 56)

struct hf_files {
    const struct source_file **files; /* owned array; the files are the source's */
    size_t count;                     /* 0: the folder has no weights */
    uint64_t bytes;                   /* of all of them */
    uint8_t format;                   /* enum model_format */
    bool is_split;                    /* one model over several files */
};

/*
 * Chooses the weights of a folder: `folder` is "" or ends in '/'; only files right in it count.
 * ERR_INVALID when a shard is missing, with its name; errors of reading the index.
 */
int hf_files_select(struct source *source, const char *folder, struct hf_files *ret,
                    struct err *err) must_check;

void hf_files_fini(struct hf_files *files);

/* Bytes that may still be read: no end to a local source's. */
uint64_t hf_files_left(const struct source *source);

/* The name of a file within the folder, or empty when it lies elsewhere, also deeper. */
struct str hf_files_name_in(const struct source_file *file, const char *folder);
