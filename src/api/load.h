/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's load in percent, now and over the last hour: of main processors and memory the mean
 * over all workers (one that tells nothing counts as 0), of devices and their memory the mean over
 * those that tell. A sample a minute in memory of fixed size; lost with the process.
 */
#pragma once

#include "control/cluster.h"

enum { LOAD_STEP_MS = 60 * 1000, LOAD_SAMPLES = 60 };

enum load_kind { LOAD_CPU, LOAD_RAM, LOAD_GPU, LOAD_VRAM, LOAD_KINDS };

struct load {
    int64_t at_ms;             /* wall time */
    double values[LOAD_KINDS]; /* percent */
    unsigned device_count;
};

/* Ring of samples. The zero value is empty. */
struct load_history {
    struct load samples[LOAD_SAMPLES];
    unsigned count, next;
};

/* What the workers reported last. Reads all their reports: not for every request. */
void load_measure(const struct cluster *cluster, int64_t now_ms, struct load *ret);

/* Adds one; of more than LOAD_SAMPLES the oldest goes. */
void load_add(struct load_history *history, const struct load *load);

/* Writes {"current":{"cpu":N,...},"history":{"cpu":[{"timestamp":SECONDS,"value":N},...],...}}. */
void load_write(const struct load_history *history, const struct load *current,
                struct json_writer *w);
