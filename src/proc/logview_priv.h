/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two parts of a run's log as one range of bytes; private to proc/.
 *
 * Positions run from `base`, the first byte that is kept, to `end`. Below `start` they are in the
 * old part, from there on in the live one. Where rotating punches holes, positions are offsets in
 * the live file and stay true for ever; where it truncates, they count from the old part's
 * beginning and are true for this view only.
 *
 * A view holds the live file's flock(2): shared for readers, exclusive for rotating, so that no
 * reader sees a new old part with an old hole.
 */
#pragma once

#include "base/err.h"
#include "proc/logfile.h"

struct logview {
    int live_fd, old_fd; /* old_fd is -1 when there is no old part */
    uint64_t base, start, end;
    uint64_t live_shift; /* position minus offset in the live file: 0 unless it was truncated */
};

/* Opens a run. -ENOENT when there is no live part. logview_fini() it. */
int logview_open(const char *dir, const char *name, unsigned run, bool to_rotate,
                 struct logview *ret, struct err *err) must_check;
void logview_fini(struct logview *view);

/* Reads at most `n` bytes at `pos` out of one of the parts. Returns bytes, 0 at the end, -errno. */
ssize_t logview_read(const struct logview *view, uint64_t pos, void *out, size_t n) must_check;

/*
 * Position behind the `count`th line feed before `end`, or where the look ended: at view->base or
 * about `max` bytes back. A line feed at `end` - 1 ends the last line and doesn't count.
 */
int logview_find_line(const struct logview *view, uint64_t end, uint64_t max, unsigned count,
                      uint64_t *ret) must_check;

/* Where a cursor stands, and a cursor for a position. */
uint64_t logview_locate(const struct logview *view, const struct logfile_cursor *cursor);
struct logfile_cursor logview_cursor(const struct logview *view, uint64_t pos);
