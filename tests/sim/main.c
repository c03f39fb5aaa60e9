/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim [--seed N] [--seeds COUNT] [--jobs N] [--sabotage NAME] [--demand-all] [--hash] [--verbose]
 *
 * Runs COUNT seeds from N on (1 from 1), in as many processes as --jobs says (0: one per core).
 * Exits with 1 at an invariant that doesn't hold, after the seed and the last events; the same seed
 * replays it. With --sabotage a failure is what is expected: exits with 1 when no seed failed.
 * --demand-all fails when something of sim/tally.h never happened; --hash prints one number that
 * is the same for the same runs.
 */
#include "auth/auth.h"
#include "base/log.h"
#include "base/num.h"
#include "sim/campaign.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

struct options {
    struct campaign campaign;
    bool demands_all, wants_hash;
};

static int usage(void)
{
    fputs("usage: sim [--seed N] [--seeds COUNT] [--jobs N] [--sabotage NAME] [--demand-all]\n"
          "           [--hash] [--verbose]\n"
          "sabotages:",
          stderr);
    for (int i = 0; i < SABOTAGE_COUNT; i++)
        fprintf(stderr, " %s", sabotage_name((enum sabotage)i));
    fputc('\n', stderr);
    return 2;
}

static int read_jobs(const char *text, int64_t *ret)
{
    int rc = num_parse_i64(str_of(text), 0, CAMPAIGN_JOBS_MAX, ret);
    if (rc == 0 && *ret == 0)
        *ret = sysconf(_SC_NPROCESSORS_ONLN);
    return rc;
}

static int take_option(int letter, const char *value, struct options *options)
{
    struct campaign *campaign = &options->campaign;
    switch (letter) {
    case 's':
        return num_parse_i64(str_of(value), 0, INT64_MAX, &campaign->first_seed);
    case 'n':
        return num_parse_i64(str_of(value), 1, INT64_MAX, &campaign->count);
    case 'j':
        return read_jobs(value, &campaign->jobs);
    case 'x':
        return (campaign->sabotage = sabotage_parse(value)) == SABOTAGE_COUNT ? -1 : 0;
    case 'a':
        options->demands_all = true;
        return 0;
    case 'h':
        options->wants_hash = true;
        return 0;
    case 'v':
        campaign->is_verbose = true;
        return 0;
    default:
        return -1;
    }
}

static int read_options(int argc, char **argv, struct options *ret)
{
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"sabotage", required_argument, NULL, 'x'},
                                          {"demand-all", no_argument, NULL, 'a'},
                                          {"hash", no_argument, NULL, 'h'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {0}};
    int rc = 0, letter;
    while (rc == 0 && (letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        rc = take_option(letter, optarg, ret);
    return optind == argc ? rc : -1;
}

int main(int argc, char **argv)
{
    struct options options = {.campaign = {.first_seed = 1, .count = 1, .jobs = 1}};
    if (read_options(argc, argv, &options) < 0)
        return usage();
    log_set_level(LOG_ERROR);
    auth_init();
    struct campaign_result result;
    campaign_run(&options.campaign, &result);
    if (options.campaign.sabotage != SABOTAGE_NONE)
        return result.held ? 1 : 0;
    if (!result.held)
        return 1;
    if (options.wants_hash)
        printf("%016llx\n", (unsigned long long)result.hash);
    else
        printf("%lld seeds, all invariants held\n", (long long)options.campaign.count);
    if (!options.demands_all)
        return 0;
    tally_print(&result.tally);
    return tally_is_complete(&result.tally) ? 0 : 1;
}
