/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/campaign.h"

#include "sim/world.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_replay(const struct campaign *campaign, uint64_t seed)
{
    bool is_sabotaged = campaign->sabotage != SABOTAGE_NONE;
    printf("replay: sim --seed %llu%s%s\n", (unsigned long long)seed,
           is_sabotaged ? " --sabotage " : "",
           is_sabotaged ? sabotage_name(campaign->sabotage) : "");
}

/* Every `jobs`-th seed, beginning with number `job`. */
static void run_share(const struct campaign *campaign, int64_t job, struct campaign_result *ret)
{
    ret->held = true;
    for (int64_t i = job; ret->held && i < campaign->count; i += campaign->jobs) {
        struct sim_options options = {.seed = (uint64_t)(campaign->first_seed + i),
                                      .sabotage = campaign->sabotage,
                                      .is_verbose = campaign->is_verbose,
                                      .tally = &ret->tally};
        struct sim_result result = sim_run(&options);
        /* A sum, so that the order in which jobs end doesn't count. */
        ret->hash += result.hash;
        ret->held = result.held;
        if (!ret->held)
            print_replay(campaign, options.seed);
    }
    fflush(stdout);
}

/* A child that was ended by a signal has left no result: it counts as failed. */
static void run_jobs(const struct campaign *campaign, struct campaign_result *shares)
{
    fflush(stdout);
    pid_t pids[CAMPAIGN_JOBS_MAX];
    for (int64_t job = 0; job < campaign->jobs; job++) {
        pids[job] = fork();
        if (pids[job] == 0) {
            run_share(campaign, job, &shares[job]);
            _exit(0);
        }
    }
    for (int64_t left = campaign->jobs; left > 0; left--) {
        int64_t job = 0;
        pid_t ended = wait(NULL);
        while (job < campaign->jobs && pids[job] != ended)
            job++;
        for (int64_t i = 0; job < campaign->jobs && !shares[job].held && i < campaign->jobs; i++)
            if (i != job && pids[i] > 0)
                kill(pids[i], SIGTERM);
        if (job < campaign->jobs)
            pids[job] = -1;
    }
}

void campaign_run(const struct campaign *campaign, struct campaign_result *ret)
{
    *ret = (struct campaign_result){.held = true};
    if (campaign->jobs == 1) {
        run_share(campaign, 0, ret);
        return;
    }
    size_t bytes = (size_t)campaign->jobs * sizeof *ret;
    struct campaign_result *shares =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shares == MAP_FAILED) {
        ret->held = false;
        return;
    }
    run_jobs(campaign, shares);
    for (int64_t job = 0; job < campaign->jobs; job++) {
        ret->held = ret->held && shares[job].held;
        ret->hash += shares[job].hash;
        tally_add(&ret->tally, &shares[job].tally);
    }
    munmap(shares, bytes);
}
