/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often things happened in all runs of a campaign: a rule that no run ever reaches isn't
 * tested. `sim --demand-all` fails when something of this list never happened.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum tally_item {
    TALLY_REQUEST_LOST,
    TALLY_REQUEST_TWICE,
    TALLY_REQUEST_OVERTAKEN, /* a later one has arrived before it */
    TALLY_REPLY_LOST,
    TALLY_STREAM_DIED, /* in silence */
    TALLY_PARTITION,
    TALLY_CONTROL_KILLED,
    TALLY_CONTROL_CLOCK_JUMP,
    TALLY_STORE_SLOW,
    TALLY_STORE_FROZEN,
    TALLY_STORE_FULL, /* a commit failed for that */
    TALLY_COMMIT_FAILED,
    TALLY_ORPHAN_WRITTEN, /* a commit that control never heard of */
    TALLY_WORKER_KILLED,
    TALLY_WORKER_KILLED_AFTER_SPAWN,
    TALLY_WORKER_CLOCK_JUMP,
    TALLY_DISK_FULL, /* a record wasn't written */
    TALLY_REBOOT,
    TALLY_PID_REUSED,
    TALLY_ENGINE_ADOPTED,
    TALLY_ENGINE_ADOPTED_BY_LABEL,
    TALLY_ENGINE_CRASHED,
    TALLY_ENGINE_STALLED,
    TALLY_ENGINE_KILLED, /* it ignored SIGTERM */
    TALLY_PREPARE_FAILED,
    TALLY_ENGINE_DRAINED,
    TALLY_REPORT_STALE,  /* late or doubled, and left out */
    TALLY_SURGE,         /* a fresh instance beside the one that it replaces */
    TALLY_LOST_REPLACED, /* of a worker that was given up */
    TALLY_HELD_BACK,     /* a worker wasn't given up, for too many were silent */
    TALLY_GANG_WENT,
    TALLY_GANG_FAILED,
    TALLY_COPY_REFUSED,
    TALLY_MAINTENANCE,
    TALLY_COUNT
};

struct tally {
    uint64_t counts[TALLY_COUNT];
};

void tally_add(struct tally *to, const struct tally *from);

/* One line per item. */
void tally_print(const struct tally *tally);

/* Prints what never happened; whether all did. */
bool tally_is_complete(const struct tally *tally);
