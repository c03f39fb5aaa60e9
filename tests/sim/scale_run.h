/* SPDX-License-Identifier: Apache-2.0 */
/* A run at scale: what a cluster of that size goes through, in about 12 virtual minutes. */
#pragma once

#include "sim/scale_control.h"

enum scale_phase {
    SCALE_JOIN,   /* all workers join within half a minute */
    SCALE_DEPLOY, /* models with four instances per worker, one device each */
    SCALE_STEADY, /* nothing but reports */
    SCALE_SCALE,  /* a model gets a quarter more replicas and loses them again */
    SCALE_ROLL,   /* a model gets new settings */
    SCALE_LOSE,   /* five workers vanish and are given up */
    SCALE_CUT,    /* all workers are cut off for a minute and come back */
    SCALE_PHASES
};

struct scale_result {
    struct scale_cost costs[SCALE_PHASES];
    uint64_t running, replaced; /* instances that serve at the end; that had to be made anew */
    uint64_t peak_bytes;        /* of memory that became resident in this run */
};

/* "join". */
const char *scale_phase_name(enum scale_phase phase);

/* How long the phase is, in virtual seconds. */
int64_t scale_phase_s(enum scale_phase phase);

/* Runs in this process; its memory is measured by the process' peak: one run per process. */
void scale_run(size_t worker_count, struct scale_result *ret);
