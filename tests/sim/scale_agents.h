/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers at scale: each takes up what control tells it, has it run after two seconds and drained
 * after one, and reports every five seconds and at once on a change. Engines never fail.
 */
#pragma once

#include "sim/scale_control.h"

enum { SCALE_DEVICES = 8, SCALE_REPORT_S = 5 };

/* An instance on a worker. */
struct scale_engine {
    int64_t id, generation;
    int64_t since_s; /* of this generation, or of its drain */
    bool is_draining, was_running, was_drained;
};

struct scale_agent {
    int64_t worker_id, seen_generation;
    struct scale_engine *engines; /* owned */
    size_t count;
    bool has_joined, is_silent, is_due; /* due: there is something to tell at once */
};

struct scale_agents {
    struct scale_agent *items; /* owned */
    size_t count;
    struct buf devices; /* status.gpu_devices of each; JSON */
    struct buf body;    /* of the request under way */
};

void scale_agents_init(struct scale_agents *agents, size_t count);
void scale_agents_fini(struct scale_agents *agents);

/* Joins, opens the stream and sends its first report. Agents join in their order. */
void scale_agent_join(struct scale_agents *agents, size_t number, struct scale_control *control);

/* What all do in second `now_s`. */
void scale_agents_step(struct scale_agents *agents, int64_t now_s, struct scale_control *control);
