/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/ may include this: what the parts of the control role share. */
#pragma once

#include "control/changes.h"
#include "control/control.h"

/* Called when a turn is durable: lines and messages may leave now. */
void feed_flush(struct feed_hub *feed, struct str lines, uint64_t last_seq);
void fleet_flush(struct fleet *fleet);
void watch_flush(struct watch_hub *hub, const struct change_batch *batch);

/* Tells the parts of a change, as it is made. */
void feed_note_put(struct feed_hub *feed, enum kind kind, const void *record, struct buf *lines);
void feed_note_delete(struct feed_hub *feed, enum kind kind, const void *record, struct buf *lines);
uint64_t feed_last_seq(const struct feed_hub *feed);
void fleet_note_change(struct fleet *fleet, enum kind kind, const void *record);
void watch_note_put(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                    const void *record, bool is_durable);
void watch_note_delete(struct watch_hub *hub, struct change_batch *batch, enum kind kind,
                       const void *record);

/* The turn's changes are made: ends the streams of those who may not hear them any more. */
void watch_end_turn(struct watch_hub *hub);

/* The parts, made and freed by control; NULL is fine to free. Return owned. */
struct feed_hub *feed_hub_new(struct control *control);
void feed_hub_free(struct feed_hub *feed);
struct fleet *fleet_new(struct control *control);
void fleet_free(struct fleet *fleet);
struct watch_hub *watch_hub_new(struct control *control);
void watch_hub_free(struct watch_hub *hub);
