/* SPDX-License-Identifier: Apache-2.0 */
/* Only download*.c: one run of a download. */
#pragma once

#include "hub/download.h"
#include "hub/fetch.h"
#include "hub/manifest.h"

#include <pthread.h>

struct download_progress {
    pthread_mutex_t lock; /* of all but `is_stopped` */
    struct download_view view;
    struct download_file_view *files; /* owned; of the run; `view` has no own ones */
    size_t count;
    size_t current; /* the one that is under way */
    atomic_bool is_stopped;
};

struct transfer {
    const struct cache *cache;
    const struct download_request *request;
    struct download_progress *progress;
    struct download_result *result;
    struct fetcher *fetcher;
    const char *origin, *token; /* of the hub */
};

/* Sets what is told of why it ends. Returns `code`. */
int transfer_fail(struct transfer *transfer, enum download_fault fault, int code,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The same for a failed call of the system on this storage. */
int transfer_fail_disk(struct transfer *transfer, int cause, const char *what);

/* The current file has so many bytes now. */
void progress_set(struct download_progress *progress, uint64_t done);
void progress_set_state(struct download_progress *progress, enum download_state state);

/* "<content>" of a part's name: tells one content from another. Returns owned. */
char *part_content(const char *place, const struct manifest *manifest,
                   const struct listed_file *file);

/* Has the current file in its place, whole; 0, or negative with the fault set. */
int transfer_file(struct transfer *transfer, const struct manifest *manifest,
                  const struct listed_file *file, const char *url);

/* Whether a file is in its place with the content that is listed; reads it all. */
bool transfer_has_content(struct transfer *transfer, const char *folder,
                          const struct listed_file *file);

/* Bytes of it that a part holds already. */
uint64_t part_bytes(const struct transfer *transfer, const struct manifest *manifest,
                    const struct listed_file *file);

/* Removes those that everybody has left long ago. */
void parts_remove_old(const struct cache *cache, int64_t now_s);

/* Removes its parts: those of `lease`, or with 0 all. */
void part_remove(const struct cache *cache, const char *content, int64_t lease);
