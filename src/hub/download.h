/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches what a model needs of a hub's repository into a cache (hub/cache.h), and removes it
 * again.
 *
 *     download_run(&cache, &request, progress, &result);     // on a thread that may wait
 *
 * Of many workers on one storage the one with the highest lease goes on: it takes over by rename
 * what an older one had fetched, and who finds its part gone stops. As parts are named by their
 * content, even two that write at once write the same. A file appears in its place whole: after its
 * checksum was compared, where the hub tells one, and fsync. The manifest comes last.
 *
 * What is there already is not fetched again: all of a manifest whose files are there (the hub
 * isn't even asked), a file with the listing's checksum, the beginning of a part.
 */
#pragma once

#include "hub/cache.h"
#include "hub/hub.h"

#include <stdatomic.h>

enum {
    DOWNLOAD_FILES_SHOWN = 64, /* whose progress is told, those under way first */
    DOWNLOAD_TRIES = 3,        /* in a row that bring nothing, at a file */
    DOWNLOAD_PARTS_KEPT_S = 30 * 24 * 3600, /* nobody has written to one for so long: it goes */
};

/* Room that is left to others on the storage. */
#define DOWNLOAD_RESERVE_BYTES (UINT64_C(64) << 20)

enum download_fault {
    DOWNLOAD_DONE,
    DOWNLOAD_STOPPED,          /* by download_stop() */
    DOWNLOAD_LOST,             /* another worker has a higher lease */
    DOWNLOAD_HUB_UNREACHABLE,  /* or it answers with errors; later it may go well */
    DOWNLOAD_HUB_REFUSED,      /* 401, 403: a token is missing, or a licence to be accepted */
    DOWNLOAD_FILE_MISSING,     /* no such repository, nothing that matches, or not one model */
    DOWNLOAD_DISK_FULL,
    DOWNLOAD_STORAGE_UNUSABLE, /* the disk fails or may not be written */
    DOWNLOAD_CHECKSUM_MISMATCH,
};

enum download_state { DOWNLOAD_LISTING, DOWNLOAD_FETCHING, DOWNLOAD_VERIFYING };

/* ---- how far it is ---- */

struct download_file_view {
    char *name; /* owned */
    uint64_t bytes, done;
};

struct download_view {
    enum download_state state;
    uint64_t bytes, done; /* of all files; 0 before they are listed */
    size_t file_count, files_ready;
    char *revision;       /* owned; "" when it isn't known */
    struct download_file_view files[DOWNLOAD_FILES_SHOWN];
    size_t shown;
};

void download_view_fini(struct download_view *view);

/* Written by the thread that fetches, read by any. */
struct download_progress;
struct download_progress *download_progress_new(void);

/* NULL is fine. Nobody may use it any more. */
void download_progress_free(struct download_progress *progress);

/* A copy, the caller's to free. */
void download_progress_read(struct download_progress *progress, struct download_view *ret);

/* The download ends soon, with DOWNLOAD_STOPPED; its hub's list is waited for. */
void download_stop(struct download_progress *progress);

/* ---- fetching ---- */

struct download_request {
    const char *place;   /* "hf:OWNER/REPO", "ms:OWNER/REPO" */
    const char *pattern; /* hub/selection.h; NULL: the repository */
    int64_t lease;       /* of this worker, > 0 */
    const struct hub_params *hub;
    uint64_t room_bytes; /* as if no more were free; 0: what the storage says */
};

struct download_result {
    enum download_fault fault;
    struct err err;            /* why, in words */
    uint64_t needs_bytes, free_bytes; /* DOWNLOAD_DISK_FULL */
    char *file;                /* owned; DOWNLOAD_CHECKSUM_MISMATCH */
    char *resolved_path;       /* owned; done: what an engine gets, below the cache */
    uint64_t bytes;            /* done: of all files */
    size_t file_count;         /* the same */
    char *revision;            /* owned; the same */
};

/* Has all of it in its place when the result says DOWNLOAD_DONE. Overwrites `ret`. */
void download_run(const struct cache *cache, const struct download_request *request,
                  struct download_progress *progress, struct download_result *ret);
void download_result_fini(struct download_result *result);

/* ---- removing ---- */

/*
 * Removes all that download_run() may have put there for these two, but for what another manifest
 * lists too, and for files of another size than listed: those are somebody else's. What isn't
 * there is no error. -errno.
 */
int download_delete(const struct cache *cache, const char *place, const char *pattern,
                    struct err *err) must_check;

/* Removes the parts that were fetched under this lease, and no others. */
void download_discard(const struct cache *cache, const char *place, const char *pattern,
                      int64_t lease);
