/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the files of a model are read from: a folder or file of this machine, or a hub over ranges
 * of HTTP (hub/). Only what is asked for is read: headers, never tensor data.
 *
 * Calls block: never on a loop thread. One thread at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SOURCE_FILES_MAX = 20000,    /* of a folder or repository; more is an error */
    SOURCE_NAME_MAX = 1024,      /* bytes of a file's name with its folders */
    SOURCE_SMALL_MAX = 16 << 20, /* bytes of a file that is read whole (config.json, an index) */
};

struct source_file {
    char *name; /* within the source, with '/': "unet/config.json"; owned by the source */
    uint64_t bytes;
    int64_t modified_ns; /* wall clock of its last change; 0: not known (of a hub) */
};

struct source;

struct source_ops {
    /*
     * Appends up to `n` bytes from `offset` of the file to `out`; fewer only at its end. May append
     * more than `n` when that costs nothing (a hub answers in larger pieces): the caller keeps it.
     */
    int (*read)(struct source *source, const struct source_file *file, uint64_t offset, size_t n,
                struct buf *out, struct err *err);
    void (*free)(struct source *source);
};

/* The files are known from the start, in the order of their names. */
struct source {
    const struct source_ops *ops;
    struct source_file *files; /* owned */
    size_t file_count;
    bool is_local;
    /* What was read so far: the bounds on hubs are tested with it. */
    uint64_t read_bytes;
    uint64_t read_count;
};

/*
 * A file with its siblings of a split, or a folder with all files below it but for hidden ones.
 * Links to files are followed (a Hugging Face cache consists of them), links to folders are not.
 * -errno or ERR_TOO_LARGE, with the path in words.
 */
int source_open_path(const char *path, struct source **ret, struct err *err) must_check;

/* NULL is fine. */
void source_free(struct source *source);

/*
 * What tells this content from another: all bytes, the latest change and a sum over names, sizes
 * and times of the files, as text. Reads nothing. Returns owned.
 */
char *source_identity(const struct source *source);

/* The file of that name, or NULL. */
const struct source_file *source_find(const struct source *source, const char *name);

/* As source_ops.read, with counts. */
int source_read(struct source *source, const struct source_file *file, uint64_t offset, size_t n,
                struct buf *out, struct err *err) must_check;

/* Appends a whole file of at most SOURCE_SMALL_MAX bytes; ERR_TOO_LARGE above. */
int source_read_small(struct source *source, const struct source_file *file, struct buf *out,
                      struct err *err) must_check;
