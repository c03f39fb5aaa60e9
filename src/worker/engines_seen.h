/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which engines this machine has, as the report tells: placement sends nothing to a worker that
 * can't run it. They are read on a pool thread, because programs may lie on a slow file system:
 * every 30 s, and soon after the engine directory has changed. One loop's thread.
 */
#pragma once

#include "engine/engine.h"
#include "io/loop.h"
#include "worker/fault_log.h"

enum {
    ENGINES_SEEN_READ_MS = 30000, /* between two looks at all engines */
    ENGINES_SEEN_LOOK_MS = 5000,  /* between two looks at the engine directory's time of change */
};

struct engines_seen_job;

/* Zeroed memory with `loop`, `bin_dir`, `on_change` and `ctx` set by the owner. */
struct engines_seen {
    struct loop *loop;
    const char *bin_dir; /* borrowed; NULL: none */
    void (*on_change)(struct engines_seen *engines, void *ctx); /* other engines than before */
    void *ctx;
    struct timer timer;
    struct engines_seen_job *job; /* NULL: none runs */
    char *text;       /* owned: JSON array of engines; NULL: not known yet */
    int64_t read_ms;  /* loop time of the last look at all of them */
    int64_t dir_time; /* of change, when they were read; 0: there is no folder */
    struct fault_log faults;
};

/* Begins to look. */
void engines_seen_start(struct engines_seen *engines);

/* Stops; a look that runs on the pool ends by itself. */
void engines_seen_fini(struct engines_seen *engines);

/* Writes the array of the engines of `set`: [{"name","version","present","distributable",...}]. */
void engines_seen_write(const struct engine_set *set, struct json_writer *w);
