/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control without sockets: the real cluster, reconciler, reports, registration, liveness, gangs and
 * desired states; its turns (turn.h) and what it remembers of workers (members.h) are those of
 * control/control.c and control/fleet.c told again.
 */
#pragma once

#include "control/dirty.h"
#include "sim/members.h"
#include "sim/net.h"
#include "sim/turn.h"

struct sim_event;

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
    struct int_list lost;  /* workers that are given up */
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

/*
 * A copy of the node's machine registers from another address. 0 when it was taken for the node,
 * ERR_EXISTS when it was refused; -1 when control doesn't think that the node is in contact.
 */
int sim_control_register_copy(struct sim *sim, const struct sim_node *node);
