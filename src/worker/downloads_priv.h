/* SPDX-License-Identifier: Apache-2.0 */
/* Only downloads*.c: what there is of each model file, and of the storage. */
#pragma once

#include "io/detached.h"
#include "worker/downloads.h"

enum file_state {
    FILE_WAITING,
    FILE_LISTING,
    FILE_DOWNLOADING,
    FILE_VERIFYING,
    FILE_PAUSED,
    FILE_READY,
    FILE_ERROR,
    FILE_DELETED,
};

struct item;

/* A thread's work. While it runs all but `item` is the thread's; the progress is both's. */
struct job {
    struct item *item; /* NULL: of nobody any more */
    bool is_deletion, is_discarded; /* discarded: the parts of its lease go at its end */
    char *cache_dir, *place, *pattern;
    int64_t lease;
    struct hub_params hub;
    struct download_progress *progress;
    struct download_result result;
};

struct item {
    struct list_node node;
    struct downloads *owner;
    int64_t id, lease;
    char *place, *pattern; /* owned */
    enum model_file_action action;
    enum file_state state;
    struct job *job; /* NULL: nothing runs */
    struct detached_job *thread;
    /* What is told. */
    uint64_t bytes, done;
    int64_t bytes_per_second;
    size_t file_count, files_ready;
    char *revision, *resolved_path, *message; /* owned; revision never NULL */
    struct download_view view;                /* of the last look; for its files */
    enum download_fault fault;
    uint64_t needs_bytes, free_bytes;
    char *bad_file; /* owned, or NULL */
    unsigned failures; /* in a row */
    int64_t retry_at_ms; /* loop time; 0: no try follows by itself */
    int64_t looked_ms;
    uint64_t looked_done;
};

struct storage_look {
    struct downloads *owner;
    char *cache_dir;
    char *id, *error; /* owned, or NULL */
    char *room;       /* owned; JSON of worker/storage.h, or NULL */
};

struct downloads {
    struct downloads_params params;
    char *cache_dir;
    struct hub_params hub;
    struct list_node items; /* struct item, by id */
    struct timer timer;
    struct timer storage_timer;
    struct detached_job *look; /* at the storage; NULL: none is under way */
    char *storage_id, *storage_error, *room; /* owned */
    bool is_storage_known;
};

/* "waiting". */
const char *file_state_name(enum file_state state);
