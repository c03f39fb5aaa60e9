/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the engines of a worker that live on this machine: those it has records of, and those
 * whose record was lost because the worker died between the spawn and the write. The latter are
 * known by their environment (worker/launch.h). Blocks for a scan of /proc: at start-up and in
 * commands only.
 */
#pragma once

#include "proc/identity.h"
#include "worker/record.h"

struct found_engine {
    struct engine_record record;
    bool is_alive;    /* exactly the recorded process runs */
    bool is_recorded; /* a record tells of it; false: known by its environment alone */
};

struct found_engines {
    struct found_engine *items; /* owned */
    size_t count;
    struct string_list faults; /* one sentence for each record that can't be read */
};

/* `ret` is zeroed before. */
void engines_find(const char *record_dir, const char *worker_uuid, struct found_engines *ret);
void found_engines_fini(struct found_engines *found);

/* pid + start time + boot id of a record, and back. */
struct proc_identity engine_identity(const struct engine_record *record);
void engine_set_identity(struct engine_record *record, const struct proc_identity *id);
