/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ may include this: what the parts of the control role share.
 *
 * A turn goes through three stages: changes are noted as they are made, the turn ends (what is to
 * be told is written down then, from the state as it is then), and it is released when it is
 * durable: only now something leaves. Later turns may have changed memory by that time.
 */
#pragma once

#include "control/changes.h"
#include "control/control.h"

/* What one turn has to tell the gateways. The zero value is empty. */
struct feed_turn {
    struct buf lines;    /* of the turn's changes */
    struct buf snapshot; /* for those who have subscribed in it */
};

/* What one turn has to tell a worker. */
struct desired_turn_item {
    int64_t worker_id;
    char *line; /* owned; NULL: the worker is gone */
};

struct desired_turn {
    struct desired_turn_item *items; /* owned */
    size_t count, cap;
};

/* ---- as a change is made ---- */

struct spending_line; /* control/ledger.h */
struct store_txn;

/* The present turn's transaction, for what isn't of the cluster. Counts as a change. */
struct store_txn *control_turn_txn(struct control *control);

struct reconcile_env;

/* What placement goes by at this moment; borrows from control until the turn's end. */
struct reconcile_env control_reconcile_env(struct control *control);

/* A place has come free: the turn's end looks at what waits for one. */
void control_note_room(struct control *control);

/* Adds a line to what the present turn tells the gateways. */
void control_tell_spending(struct control *control, const struct spending_line *line);
void feed_note_spending(struct feed_hub *feed, const struct spending_line *line,
                        struct feed_turn *turn);

/* Adds the lines that tell of it. */
void feed_note_put(struct feed_hub *feed, enum kind kind, const void *record,
                   struct feed_turn *turn);
void feed_note_delete(struct feed_hub *feed, enum kind kind, const void *record,
                      struct feed_turn *turn);

/* Notes whose desired state may differ now. */
void fleet_note_change(struct fleet *fleet, enum kind kind, const void *record);

/* Notes that workers are asked for other model files. */
void fleet_note_questions(struct fleet *fleet);

/* Notes the row for the watchers. */
void watch_note_put(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                    const void *record, bool is_durable);
void watch_note_delete(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                       const void *record);

/* ---- as a turn ends ---- */

/* Writes the snapshot for those who have subscribed in this turn. */
void feed_end_turn(struct feed_hub *feed, struct feed_turn *turn);

/* Writes the desired states that differ. */
void fleet_end_turn(struct fleet *fleet, struct desired_turn *turn);

/* Ends the streams of those who may not hear changes any more; that doesn't wait for the store. */
void watch_end_turn(struct watch_hub *hub);

/* ---- as a turn is released ---- */

/* Sends the turn's lines to the gateways. */
void feed_flush(struct feed_hub *feed, const struct feed_turn *turn);

/* Sends the turn's desired states to the workers. */
void fleet_flush(struct fleet *fleet, const struct desired_turn *turn);

/* Lets the watchers hear of the turn's changes. */
void watch_flush(struct watch_hub *hub, const struct change_batch *batch);

/* ---- life ---- */

void feed_turn_fini(struct feed_turn *turn);
void desired_turn_fini(struct desired_turn *turn);

/* The worker is in contact again: at once none of those that are given up. */
void control_drop_lost(struct control *control, int64_t worker_id);

/* Tells in the log when commits take very long, and when they don't any more; every second. */
void control_watch_store(struct control *control);

/* The workers that are given up have changed. Takes the content of `lost`. */
void control_set_lost(struct control *control, struct int_list *lost);

/* The parts, made and freed by control; NULL is fine to free. Return owned. */
struct feed_hub *feed_hub_new(struct control *control);
void feed_hub_free(struct feed_hub *feed);
struct fleet *fleet_new(struct control *control, int64_t reschedule_grace_ms);
void fleet_free(struct fleet *fleet);
struct watch_hub *watch_hub_new(struct control *control);
void watch_hub_free(struct watch_hub *hub);
