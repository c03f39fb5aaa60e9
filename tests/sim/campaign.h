/* SPDX-License-Identifier: Apache-2.0 */
/* Many runs, on several cores if asked: one process per job, each with every n-th seed. */
#pragma once

#include "sim/sabotage.h"
#include "sim/tally.h"

enum { CAMPAIGN_JOBS_MAX = 256 };

struct campaign {
    int64_t first_seed, count;
    int64_t jobs; /* processes, 1-CAMPAIGN_JOBS_MAX; 1: all runs in this one */
    enum sabotage sabotage;
    bool is_verbose;
};

struct campaign_result {
    bool held; /* no run failed */
    uint64_t hash; /* of all traces: the same for the same runs, whatever the number of jobs */
    struct tally tally;
};

/* Ends early when a run fails; what it has to say, the command that replays it too, is printed. */
void campaign_run(const struct campaign *campaign, struct campaign_result *ret);
