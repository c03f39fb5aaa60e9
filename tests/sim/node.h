/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node: a machine, its way to control, and the worker's process on it. The process joins, opens
 * the stream of desired states and reports as worker/session.h, join.h and report.h say, told again
 * over the simulated network.
 */
#pragma once

#include "sim/machine.h"
#include "sim/net.h"
#include "sim/runner.h"

struct sim;

struct sim_node {
    struct sim *sim; /* borrowed */
    char name[32];   /* also its uuid */
    char zone[2];    /* label "zone" */
    struct sim_machine machine;
    struct sim_link link;
    int64_t wall_offset_ms; /* how wrong its clock is */
    int64_t contact_since_ms; /* told by the desired state on an open stream; 0: no contact */
    /* the worker's process */
    bool is_up;
    uint64_t life;
    struct sim_runners runners;
    struct desired_state desired;
    char *token;     /* owned; NULL: not joined */
    int64_t session, seq; /* that its reports carry */
    uint64_t join;   /* number of the registration under way; 0: none */
    uint64_t report; /* number of the report under way; 0: none */
    uint64_t stream; /* number of the request that opened it; 0: none */
    uint64_t timer;  /* the report timer armed last */
    bool is_due;     /* something changed while a report was under way */
    int64_t join_delay_ms, stream_delay_ms;
};

/* The clock that its worker reads. */
int64_t sim_node_wall_ms(const struct sim_node *node);

/* Starts the worker's process: adopts, joins. */
void sim_node_start(struct sim_node *node);

/* kill -9 of the worker; engines live on. It comes back after a while by itself. */
void sim_node_kill(struct sim_node *node);
void sim_node_fini(struct sim_node *node);

/* Something of the report has changed. */
void sim_node_mark_report(struct sim_node *node);

/* From the network: a reply, a line of a stream, the end of a stream. */
void sim_node_reply(struct sim_node *node, uint64_t request, unsigned status, const char *text);
void sim_node_line(struct sim_node *node, uint64_t stream, const char *text);
void sim_node_stream_ended(struct sim_node *node, uint64_t stream);
