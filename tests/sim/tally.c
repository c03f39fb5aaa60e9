/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/tally.h"

#include <assert.h>
#include <stdio.h>

static const char *const names[] = {
    [TALLY_REQUEST_LOST] = "requests lost",
    [TALLY_REQUEST_TWICE] = "requests doubled",
    [TALLY_REQUEST_OVERTAKEN] = "requests overtaken by later ones",
    [TALLY_REPLY_LOST] = "replies lost",
    [TALLY_STREAM_DIED] = "streams dead in silence",
    [TALLY_PARTITION] = "partitions",
    [TALLY_CONTROL_KILLED] = "kills of control",
    [TALLY_CONTROL_CLOCK_JUMP] = "jumps of control's clock",
    [TALLY_STORE_SLOW] = "slow commits",
    [TALLY_STORE_FROZEN] = "freezes of the store",
    [TALLY_STORE_FULL] = "commits failed on a full disk",
    [TALLY_COMMIT_FAILED] = "commits failed by chance",
    [TALLY_ORPHAN_WRITTEN] = "commits that control never heard of",
    [TALLY_WORKER_KILLED] = "kills of workers",
    [TALLY_WORKER_KILLED_AFTER_SPAWN] = "kills of workers between spawn and record",
    [TALLY_WORKER_CLOCK_JUMP] = "jumps of workers' clocks",
    [TALLY_DISK_FULL] = "records not written on full disks",
    [TALLY_REBOOT] = "reboots",
    [TALLY_PID_REUSED] = "pids given to foreign processes",
    [TALLY_ENGINE_ADOPTED] = "engines adopted by their records",
    [TALLY_ENGINE_ADOPTED_BY_LABEL] = "engines adopted by their labels",
    [TALLY_ENGINE_CRASHED] = "engines crashed",
    [TALLY_ENGINE_STALLED] = "engines stopped as stalled",
    [TALLY_ENGINE_KILLED] = "engines that ignored SIGTERM killed",
    [TALLY_PREPARE_FAILED] = "engines not prepared",
    [TALLY_ENGINE_DRAINED] = "engine drained",
    [TALLY_REPORT_STALE] = "report late or doubled",
    [TALLY_SURGE] = "surge",
    [TALLY_LOST_REPLACED] = "instance of a lost worker replaced",
    [TALLY_HELD_BACK] = "worker held back, too many silent",
    [TALLY_GANG_WENT] = "gang went",
    [TALLY_GANG_FAILED] = "gang failed",
    [TALLY_COPY_REFUSED] = "copied uuid refused",
    [TALLY_MAINTENANCE] = "maintenance",
};

static_assert(sizeof names / sizeof *names == TALLY_COUNT, "every item has a name");

void tally_add(struct tally *to, const struct tally *from)
{
    for (int i = 0; i < TALLY_COUNT; i++)
        to->counts[i] += from->counts[i];
}

void tally_print(const struct tally *tally)
{
    for (int i = 0; i < TALLY_COUNT; i++)
        printf("%10llu %s\n", (unsigned long long)tally->counts[i], names[i]);
}

bool tally_is_complete(const struct tally *tally)
{
    bool is_complete = true;
    for (int i = 0; i < TALLY_COUNT; i++) {
        if (tally->counts[i])
            continue;
        printf("never happened: %s\n", names[i]);
        is_complete = false;
    }
    return is_complete;
}
