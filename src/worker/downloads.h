/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model files that control wants fetched into this worker's cache, and how far they are.
 *
 *      wanted --> waiting --> listing --> downloading <--> verifying --> ready
 *                    ^           |            |                 |
 *                    |           +-- fault ---+------ error <---+      paused (by control), deleted
 *                    +--- 10 s, 20 s, ... 5 min later, where that can help ---+
 *
 * Two at once, in the order of ids, each on a thread of its own (hub/download.h): a hub or a
 * network file system that is silent holds up nobody. What control doesn't list any more is
 * stopped; its whole files stay, the parts of its lease go. Losing the server changes nothing. One
 * loop's thread.
 */
#pragma once

#include "hub/download.h"
#include "io/loop.h"
#include "worker/desired.h"

enum {
    DOWNLOADS_AT_ONCE = 2,
    DOWNLOADS_LOOK_MS = 2000,     /* between two looks at what runs, each of which is told */
    DOWNLOADS_STORAGE_MS = 60000, /* between two looks at the storage */
    DOWNLOADS_FILES_TOLD = 512,   /* of all downloads, in one report */
    DOWNLOADS_RETRY_MIN_MS = 10000,
    DOWNLOADS_RETRY_MAX_MS = 300000,
};

struct downloads;

struct downloads_params {
    struct loop *loop;
    const char *cache_dir;
    const struct hub_params *hub; /* NULL: as the environment says */
    void (*on_change)(void *ctx); /* a report would say something new */
    void *ctx;
    int64_t look_ms, retry_ms;    /* 0: DOWNLOADS_LOOK_MS, DOWNLOADS_RETRY_MIN_MS */
};

/* Looks at the storage at once. Returns owned. */
struct downloads *downloads_new(const struct downloads_params *params);

/* Stops what runs, without waiting for it. NULL is fine. */
void downloads_free(struct downloads *downloads);

/* What control wants from now on. Copies. NULL, a worker without, is fine here and below. */
void downloads_want(struct downloads *downloads, const struct desired_model_file *wanted,
                    size_t count);

/* The array "model_files" of a report, in the order of ids. */
void downloads_write_report(const struct downloads *downloads, struct json_writer *w);

/* The object "cache" of a report's status; null until the storage was looked at. */
void downloads_write_cache(const struct downloads *downloads, struct json_writer *w);
