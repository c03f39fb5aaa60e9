/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control without sockets: the real cluster, reconciler, reports, registration, liveness and
 * desired states; its turns are those of control/control.c and control/fleet.c told again. What
 * happens at one moment is one turn: rows go to the store, replies and desired states leave when
 * they are durable, turns complete in their order.
 */
#pragma once

#include "base/list.h"
#include "control/dirty.h"
#include "sim/net.h"

struct sim_event;
struct sim_turn;

/* What control remembers of a worker besides its record. */
struct sim_member {
    int64_t worker_id;
    struct sim_node *node; /* at the other end of `stream` */
    uint64_t stream;       /* 0: none */
    int64_t contact_ms;
    int64_t generation; /* of the desired state that was composed last */
    char *sent;         /* that state; owned */
    bool is_dirty;
};

struct sim_control {
    bool is_up;
    uint64_t life; /* number of this process */
    struct cluster cluster;
    struct sim_member *members; /* owned */
    size_t member_count;
    struct sim_turn *open;   /* or NULL */
    struct list_node sealed; /* struct sim_turn, oldest first */
    uint64_t last_turn;
    int64_t generation;
    struct dirty dirty;
    struct int_list lost; /* workers that are given up */
    int64_t placed_ms;     /* when all that have no place were tried last */
};

/* Starts the process from what is durable. */
void sim_control_start(struct sim *sim);

/* kill -9. It comes back after a while by itself. */
void sim_control_kill(struct sim *sim);
void sim_control_fini(struct sim_control *control);

/* A request of kind `kind` has arrived; bearer and text stand in `event`. */
void sim_control_request(struct sim *sim, struct sim_node *node, int64_t kind, uint64_t request,
                         const struct sim_event *event);

/* The store has written that turn. */
void sim_control_durable(struct sim *sim, uint64_t turn);

/* Calls fn(sim, number) when all that was changed so far is durable; never when control dies. */
void sim_control_when_durable(struct sim *sim, void (*fn)(struct sim *sim, int64_t number),
                              int64_t number);
