/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache folder of a worker, which several machines may share (NFS), and what may be done in it:
 *
 *     .gpustack-storage                        whose cache it is, see cache_storage_id()
 *     .gpustack/parts/<content>-<lease>.part   what is being fetched
 *     .gpustack/manifests/<name>.json          what is whole, see hub/manifest.h
 *     huggingface/OWNER/REPO/...               complete files only
 *     model_scope/OWNER/REPO/...
 *
 * Nobody locks anything: content is made under a name of its own and appears by rename. Every step
 * below the root is taken without following links, so that nothing outside it is ever written or
 * removed. All calls block; any thread, one at a time per struct.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>

enum { CACHE_ID_MAX = 37, CACHE_DEPTH_MAX = 64 };

#define CACHE_PARTS ".gpustack/parts"
#define CACHE_MANIFESTS ".gpustack/manifests"

struct cache {
    int fd;     /* of the root */
    char *path; /* owned */
};

/* Opens it, after making it and its parents. -errno with the path. */
int cache_open(const char *path, struct cache *ret, struct err *err) must_check;
void cache_close(struct cache *cache);

/*
 * The uuid in .gpustack-storage, which is made when there is none; of many that try at once one
 * wins, and all get its. -errno (a read-only cache that has none), ERR_INVALID for a file that
 * holds no uuid.
 */
int cache_storage_id(const struct cache *cache, char ret[CACHE_ID_MAX], struct err *err) must_check;

/* A folder below the root ("" is the root): its descriptor, the caller's to close. With `creates`
 * it is made. -errno. */
int cache_open_folder(const struct cache *cache, const char *folder, bool creates,
                      struct err *err) must_check;

/* The folder that a file lies in; `*ret_name` borrows the last part of `path`. */
int cache_open_parent(const struct cache *cache, const char *path, bool creates,
                      const char **ret_name, struct err *err) must_check;

/* Size of a regular file below `folder`, not of a link; -errno. */
int cache_stat(const struct cache *cache, const char *folder, const char *name,
               struct stat *ret) must_check;

/* Writes a small file under a name of its own, fsyncs it, and renames it to `path`. -errno. */
int cache_write(const struct cache *cache, const char *path, struct str content,
                struct err *err) must_check;

/* Reads a small file. ERR_TOO_LARGE above `max` bytes, -errno. */
int cache_read(const struct cache *cache, const char *path, size_t max, struct buf *ret,
               struct err *err) must_check;

/* Removes a file, and then the folders above it that are empty, up to and without `folder`'s
 * parent `keep` ("huggingface"). What isn't there is no error. -errno. */
int cache_remove(const struct cache *cache, const char *keep, const char *path,
                 struct err *err) must_check;

/* Bytes that anybody may still write; 0 when that can't be told. */
uint64_t cache_available(const struct cache *cache);
