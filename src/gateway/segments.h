/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's files: DIR/SEGMENT.ndjson, each named after the number of its first record (20
 * digits), with the lines of journal_line.h by ascending number. Records are appended to the last
 * one and forgotten from the first one on. Blocking calls; one thread at a time.
 *
 * A file is never appended to by another process than the one that made it: whatever a crash left
 * at a file's end stays there and is passed over when it is read. The last file that has anything
 * in it is kept even when all of it may go: its records' numbers say which come next.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "gateway/disk_ops.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SEGMENT_BYTES = 4 << 20,    /* a longer one is followed by a new one */
    SEGMENT_MS = 60000,         /* and an older one, */
    SEGMENTS_BY_AGE_MAX = 1000, /* while there are no more than these */
};

struct segment {
    uint64_t first, last; /* numbers of its records; the last may be too high */
    uint64_t bytes;       /* that may be read: of an open one what is durable */
};

struct segments {
    char *dir;                  /* owned */
    const struct disk_ops *ops; /* borrowed */
    struct segment *items;      /* owned; by number */
    size_t count, cap;
    int fd;               /* the last one's, open for appending; -1: the next is a new one */
    int64_t opened_ms;    /* when it was made, by the caller's clock */
    uint64_t length;      /* its bytes so far, those that aren't durable too */
    uint64_t length_last; /* number of the last record in them */
    bool is_listed;       /* its name in the folder is durable */
    struct {
        uint64_t seq;     /* the next segments_each() that starts behind this record */
        uint64_t segment; /* goes on in the segment with this first record */
        uint64_t offset;  /* here */
    } place;
};

/*
 * Finds what is in the folder, which exists. `ret_last` is the highest number that may have been
 * given. What is broken is logged. `ret` is fini-able in any case.
 */
int segments_open(struct segments *ret, const char *dir, const struct disk_ops *ops,
                  uint64_t *ret_last, struct err *err) must_check;
void segments_fini(struct segments *segments);

/* Whether segments_close_last() is due before more is appended. */
bool segments_is_last_full(const struct segments *segments, int64_t now_ms);

/* The next record goes into a new file. What isn't durable yet stays unreadable. */
void segments_close_last(struct segments *segments);

/*
 * Appends whole lines, the records `first` to `last`. After a failure (-errno) the file was given
 * up: all since the last success of segments_sync() has to be appended again, to a new one.
 */
int segments_append(struct segments *segments, struct str lines, uint64_t first, uint64_t last,
                    int64_t now_ms, struct err *err) must_check;

/*
 * Makes durable and readable what was appended. After a failure nobody knows what of it is on the
 * disk; the same has to be done as after one of segments_append().
 */
int segments_sync(struct segments *segments, struct err *err) must_check;

/*
 * Calls `take` for each readable record behind number `after`, in order and each number once, until
 * it returns false; the next call with the number of the last one taken is cheap. `open_object` is
 * as in journal_line_check(). -errno when a file can't be read.
 */
int segments_each(struct segments *segments, uint64_t after,
                  bool (*take)(uint64_t seq, struct str open_object, void *ctx), void *ctx,
                  struct err *err) must_check;

/* Removes files whose records are all up to `seq`. Returns how many. */
size_t segments_forget(struct segments *segments, uint64_t seq);

/* Bytes of all files. */
uint64_t segments_bytes(const struct segments *segments);

/* Removes the oldest file, unless it is the last. Returns the number of its last record, or 0. */
uint64_t segments_drop_oldest(struct segments *segments);
