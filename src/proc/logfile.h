/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of engine runs: one file per run, written by the engine itself, bounded by us.
 *
 *     <dir>/<name>.<run>.log        current part of run number <run>
 *     <dir>/<name>.<run>.log.1      the part before it
 *
 * The engine holds the file open in append mode, so it never depends on a reader and never blocks.
 * When the file passes `max_bytes`, its content is copied to ".1" and the copied range is punched
 * out (fallocate(2) PUNCH_HOLE): no line is lost and the disk space is given back; where the file
 * system can't, it is truncated after the copy. Readers skip the hole. Parts end with whole lines.
 * Of an engine that writes faster than it is rotated only the last four `max_bytes` are kept. Of
 * all runs the first and the last `LOG_RUNS_KEPT` are kept: the first failure is never lost to a
 * crash loop.
 *
 * Blocking calls on local files; rare. A flock(2) on the live part lets several processes and
 * threads read and rotate. `name` must be a file name without '/' (-EINVAL where a run is opened).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum {
    LOG_RUNS_KEPT = 4,
    LOG_PART_MAX = 16 << 20, /* bytes of one part, unless the caller says otherwise */
    LOG_TAIL_MAX_BYTES = 32 << 20, /* that are looked through for lines from the end */
};

/* Opens the file of a new run for appending (mode 0640), removing surplus old runs. Returns the fd.
 */
int logfile_open_run(const char *dir, const char *name, unsigned run, struct err *err) must_check;

/* Rotates when the live part is larger than `max_bytes`. 1 when it did, 0 when not, -errno. */
int logfile_rotate(const char *dir, const char *name, unsigned run, uint64_t max_bytes,
                   struct err *err) must_check;

/* Path of a run's live part. Returns owned. */
char *logfile_path(const char *dir, const char *name, unsigned run);

/* Run numbers that exist, ascending, into `ret` (the last `max` of them); returns how many, -errno.
 */
int logfile_runs(const char *dir, const char *name, unsigned *ret, size_t max) must_check;

/* Bytes written to the run so far, holes and rotated parts included; 0 when there is no file. */
uint64_t logfile_size(const char *dir, const char *name, unsigned run);

/*
 * A place in a run's log. Start with {0} for the beginning, or logfile_seek_tail(). Reading gives
 * whatever is there now; 0 bytes mean "nothing new yet".
 */
struct logfile_cursor {
    uint64_t offset; /* logical offset in the live part */
    bool in_old;     /* still reading the ".1" part */
    uint64_t old_offset;
};

/*
 * Places the cursor so that at most the last `lines` lines follow, and at most LOG_TAIL_MAX_BYTES.
 */
int logfile_seek_tail(const char *dir, const char *name, unsigned run, unsigned lines,
                      struct logfile_cursor *cursor, struct err *err) must_check;

/*
 * What is there of a run: bytes from `first` to before `end` of all that was ever written to it.
 * Where the file system can't punch holes they are counted from the first one that is kept.
 */
struct logfile_bounds {
    uint64_t first, end;
    uint64_t offset; /* where the cursor was placed */
};

/*
 * Places the cursor at byte `offset`, or when that is negative so that at most so many bytes
 * follow; what isn't kept any more is skipped.
 */
int logfile_seek(const char *dir, const char *name, unsigned run, int64_t offset,
                 struct logfile_cursor *cursor, struct logfile_bounds *ret,
                 struct err *err) must_check;

/* Appends at most `max` bytes to `ret` and moves the cursor. Returns bytes, -ENOENT, -errno. */
int logfile_read(const char *dir, const char *name, unsigned run, struct logfile_cursor *cursor,
                 size_t max, struct buf *ret, struct err *err) must_check;

/* Removes all runs of `name`. */
void logfile_remove_all(const char *dir, const char *name);
