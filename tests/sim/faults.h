/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong in a run. Each seed draws a mix of its own: some kinds of faults often, some
 * rarely, some never, so that runs differ in more than their order of events.
 */
#pragma once

#include <stdbool.h>

struct sim;

enum fault {
    /* permille of the occasions */
    FAULT_MESSAGE_LOST,
    FAULT_MESSAGE_LATE,
    FAULT_MESSAGE_TWICE,
    FAULT_STORE_SLOW,
    FAULT_COMMIT_FAILS,
    FAULT_ENGINE_CRASHES,
    FAULT_ENGINE_WEDGES,
    FAULT_ENGINE_IGNORES_TERM,
    FAULT_PID_REUSED,
    FAULT_PREPARE_FAILS,
    FAULT_DEATH_AFTER_SPAWN,
    /* weights among what happens by itself */
    FAULT_CONTROL_DIES,
    FAULT_WORKER_DIES,
    FAULT_MACHINE_REBOOTS,
    FAULT_PARTITION,
    FAULT_LONG_SILENCE, /* one node or several are cut off for longer than the grace */
    FAULT_STORE_FREEZES,
    FAULT_STORE_FILLS,
    FAULT_DISK_FILLS,
    FAULT_CLOCK_JUMPS,
    FAULT_WORKER_CLOCK_JUMPS,
    FAULT_USER_ACTS,
    FAULT_COUNT
};

struct faults {
    unsigned mix[FAULT_COUNT];
    bool are_on;
};

/* Draws the mix and lets it begin. */
void faults_start(struct sim *sim);

/* From now on nothing goes wrong; what has begun (a partition, a wedged engine) takes its time. */
void faults_stop(struct sim *sim);
