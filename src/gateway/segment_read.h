/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one file of the journal in pieces, whatever is in it: lines that are whole are given out by
 * ascending number, all else is counted and passed over. Blocking; any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct segment_place {
    uint64_t after;     /* only records with a higher number are given out; moved on with them */
    uint64_t offset;    /* where to begin, at a line's start; then where the next call goes on */
    uint64_t end;       /* bytes of the file that may be read */
    unsigned bad_lines; /* passed over by this call */
};

/* `take` gets a record (journal_line_check()); false: enough, and this one isn't taken. */
typedef bool segment_take(uint64_t seq, struct str open_object, void *ctx);

/* Reads on until `end` or until it is enough. -errno. */
int segment_read(const char *path, struct segment_place *place, segment_take *take, void *ctx,
                 struct err *err) must_check;

/*
 * The same of text in memory that begins at `place->offset`; `is_last`: the file ends behind it.
 * Moves the offset behind the lines that were looked at. False: enough.
 */
bool segment_parse(struct str text, bool is_last, struct segment_place *place, segment_take *take,
                   void *ctx);
