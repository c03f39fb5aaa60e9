/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What control remembers of its workers besides their records, as control/fleet.c has it: streams,
 * what was told last, when each was heard, who is given up.
 */
#pragma once

#include "control/report.h"

struct sim;
struct sim_control;
struct sim_node;
struct sim_turn;

struct sim_member {
    int64_t worker_id;
    struct sim_node *node; /* at the other end of `stream` */
    uint64_t stream;       /* 0: none */
    int64_t contact_ms;
    struct report_order order;
    int64_t generation; /* of the desired state that was composed last */
    char *sent;         /* that state; owned */
    bool is_dirty;
};

/* The worker's; made when there is none. */
struct sim_member *sim_members_get(struct sim *sim, int64_t worker_id);
void sim_members_fini(struct sim_control *control);

/* All streams end, as when control's process ends. */
void sim_members_close(struct sim_control *control);

/* Its stream is `stream` from now on. */
void sim_members_subscribe(struct sim *sim, struct sim_node *node, uint64_t stream,
                           const struct worker *worker);

/* Notes whose desired state the change may change. */
void sim_members_note(struct sim_control *control, enum kind kind, const void *record);

/* Composes the desired states that the turn has changed; they leave with it. */
void sim_members_end_turn(struct sim *sim, struct sim_turn *turn);

/* Finds who is given up, and has the reconciler look at their instances when that has changed. */
void sim_members_find_lost(struct sim *sim);

/* What control does every second. */
void sim_members_tick(struct sim *sim);
