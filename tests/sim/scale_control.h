/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control at scale: its real decisions (cluster, registration, reports, reconciler, liveness, lost
 * workers, gangs, desired states) with turns that cost nothing but them. The CPU time of each turn
 * is measured; what the workers do isn't. Turns as in control/control.c and control/fleet.c.
 */
#pragma once

#include "control/dirty.h"

enum { SCALE_GRACE_MS = 60 * 1000 }; /* --reschedule-grace; shorter, so that runs are */

/* What control remembers of a worker besides its record. */
struct scale_member {
    int64_t contact_ms, generation;
    struct buf desired; /* as told last */
    bool has_stream;
};

/* What a phase costs. */
struct scale_cost {
    uint64_t turns, reports, rows;
    double cpu_s, longest_turn_s;
    double report_cpu_s; /* of turns that a report began */
};

struct scale_control {
    struct cluster cluster;
    struct dirty dirty;
    struct int_list lost;         /* given up, ascending */
    struct scale_member *members; /* owned; by worker id, which are 1 to `worker_count` */
    size_t worker_count;
    struct id_set dirty_members;
    int64_t now_ms, placed_ms, generation;
    unsigned suffixes;
    struct scale_cost *cost; /* borrowed: of the phase under way */
    double turn_began_s;
};

void scale_control_init(struct scale_control *control, size_t worker_count);
void scale_control_fini(struct scale_control *control);

/* Requests of a worker, one turn each. */
void scale_register(struct scale_control *control, const char *body);
void scale_subscribe(struct scale_control *control, int64_t worker_id);
void scale_report(struct scale_control *control, int64_t worker_id, const char *body);

/* The turn of the second's tick. */
void scale_tick(struct scale_control *control);

/* Puts a model (taken, as by cluster_put()) in a turn of its own. */
void scale_put_model(struct scale_control *control, struct model *model);
