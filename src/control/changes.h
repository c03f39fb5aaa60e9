/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changed last: every watchable row once, in the order of its last durable change.
 *
 * A reader is a number: the sequence of the last change that it was told. What follows it in the
 * log is what it has not seen, each row once however often it changed, so a reader that falls
 * behind costs nothing. Rows are told from the cluster's table as they are now. A row with changes
 * that are not durable yet (`unsettled`) must not be told: a reader stops there; with the last of
 * its changes the row moves to the log's end. Deleted rows stay as tombstones, the latest
 * CHANGES_TOMBSTONES_MAX of them; who is further behind (changes_knows()) must start anew.
 *
 * Changes of transient fields alone are told at once when the row was quiet for CHANGES_QUIET_MS,
 * else late, by changes_flush_late(). Deterministic: time comes from the caller. Control's thread.
 *
 *     changes_note(&log, &batch, KIND_MODEL, model, true);     // as it is made
 *     changes_settle(&log, &batch, now_ms);                    // when its turn is durable
 */
#pragma once

#include "base/list.h"
#include "control/cluster.h"

enum {
    CHANGES_TOMBSTONES_MAX = 2048,
    CHANGES_QUIET_MS = 1000, /* between two tellings of a row for its transient fields' sake */
};

struct change_row {
    uint64_t seq; /* of the last change that was told; 0: none yet, not in the log */
    enum kind kind;
    int64_t id;
    void *deleted;      /* last content of a deleted row, owned; NULL: it lives, see the table */
    unsigned unsettled; /* turns that changed it and are not durable yet */
};

/* Rows that one turn changed. The zero value is empty. */
struct change_batch {
    struct change_item *items; /* owned */
    size_t count, cap;
};

struct change_entry;

struct change_log {
    struct change_entry *entries; /* uthash of all rows */
    struct list_node order;       /* rows with a seq, ascending */
    struct list_node tombstones;  /* the deleted ones among them, ascending */
    struct list_node late;        /* rows with a transient change that waits */
    unsigned tombstone_count;
    uint64_t seq;     /* the last one given */
    uint64_t horizon; /* of the newest tombstone that was forgotten */
};

/* Whether rows of this kind are in the log. Nobody watches sessions and revisions. */
bool changes_has_kind(enum kind kind);

/* The log of a cluster that was just loaded: all rows, in the order of kinds and ids. */
void changes_init(struct change_log *log, const struct cluster *cluster);
void changes_fini(struct change_log *log);

/* A row was added or changed. `is_durable`: a stored field differs. */
void changes_note_put(struct change_log *log, struct change_batch *batch, enum kind kind,
                      const void *record, bool is_durable);

/* A row was removed; the record is copied. */
void changes_note_delete(struct change_log *log, struct change_batch *batch, enum kind kind,
                         const void *record);

/* The turn of the batch is durable; turns settle in their order. */
void changes_settle(struct change_log *log, const struct change_batch *batch, int64_t now_ms);

/* Whether a late change waits; then changes_flush_late() shall be called in CHANGES_QUIET_MS. */
bool changes_has_late(const struct change_log *log);

/* Moves the late rows to the end that have been quiet for long enough. */
void changes_flush_late(struct change_log *log, int64_t now_ms);

/* The first row that a reader at `seq` has not seen, or NULL; and the one behind it. */
const struct change_row *changes_after(const struct change_log *log, uint64_t seq);
const struct change_row *changes_next(const struct change_log *log, const struct change_row *row);

/* Whether a reader that was told all up to `seq` can go on from there. */
bool changes_knows(const struct change_log *log, uint64_t seq);

void change_batch_fini(struct change_batch *batch);
