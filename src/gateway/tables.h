/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed's state as its lines build it up: one table a kind, changed line by line. No I/O; the
 * feed hands lines in and makes snapshots of what comes out. Main thread. The zero value is empty.
 *
 *     tables_apply(&tables, line, &err);
 *     if (tables.is_ready && tables_is_dirty(&tables))
 *         snapshot = snapshot_build(tables.kinds, tables.dirty, before);
 */
#pragma once

#include "gateway/entry.h"
#include "gateway/limit_book.h"
#include "gateway/map.h"

enum { TABLES_ENTRIES_MAX = 1 << 20 }; /* per kind */

struct tables {
    struct map kinds[ENTRY_KINDS]; /* id -> entry, a reference each */
    bool dirty[ENTRY_KINDS];       /* changed since tables_clean() */
    bool is_open;                  /* a "reset" came */
    bool is_ready;                 /* a "ready" came after it: the tables are whole */
    int64_t seq;                   /* of the last line */
    struct limit_book limits;      /* outlives a reset */
};

void tables_fini(struct tables *tables);

/* Forgets all lines but not the counts of limits: the feed begins anew with a "reset". */
void tables_clear(struct tables *tables);

/*
 * Applies one line. ERR_SYNTAX when it isn't a JSON object, ERR_INVALID when a member is missing or
 * wrong, ERR_PROTOCOL when it can't come now (before "reset", or with a sequence number that goes
 * back), ERR_TOO_LARGE. Operations and kinds that are not known are passed over: a newer control
 * may send them. Lines of kind "spending" go into the book at once. A line that is refused changes
 * nothing.
 */
int tables_apply(struct tables *tables, struct str line, struct err *err) must_check;

bool tables_is_dirty(const struct tables *tables);

/* A snapshot was made. */
void tables_clean(struct tables *tables);
