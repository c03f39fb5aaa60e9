/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim [--seed N] [--seeds COUNT] [--sabotage NAME] [--verbose]
 *
 * Runs COUNT seeds from N on (1 from 1). Exits with 1 at the first invariant that doesn't hold,
 * after the seed and the last events; the same seed replays it. With --sabotage a failure is what
 * is expected: exits with 1 when no seed failed.
 */
#include "auth/auth.h"
#include "base/log.h"
#include "base/num.h"
#include "sim/world.h"

#include <getopt.h>
#include <stdio.h>

struct options {
    int64_t seed, seeds;
    enum sabotage sabotage;
    bool is_verbose;
};

static int usage(void)
{
    fputs("usage: sim [--seed N] [--seeds COUNT] [--sabotage NAME] [--verbose]\n"
          "sabotages:",
          stderr);
    for (int i = 0; i < SABOTAGE_COUNT; i++)
        fprintf(stderr, " %s", sabotage_name((enum sabotage)i));
    fputc('\n', stderr);
    return 2;
}

static int read_options(int argc, char **argv, struct options *ret)
{
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"sabotage", required_argument, NULL, 'x'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {0}};
    int rc = 0, letter;
    while (rc == 0 && (letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 's')
            rc = num_parse_i64(str_of(optarg), 0, INT64_MAX, &ret->seed);
        else if (letter == 'n')
            rc = num_parse_i64(str_of(optarg), 1, INT64_MAX, &ret->seeds);
        else if (letter == 'x')
            rc = (ret->sabotage = sabotage_parse(optarg)) == SABOTAGE_COUNT ? -1 : 0;
        else if (letter == 'v')
            ret->is_verbose = true;
        else
            rc = -1;
    }
    return optind == argc ? rc : -1;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .seeds = 1};
    if (read_options(argc, argv, &options) < 0)
        return usage();
    log_set_level(LOG_ERROR);
    auth_init();
    bool is_sabotaged = options.sabotage != SABOTAGE_NONE;
    for (int64_t i = 0; i < options.seeds; i++) {
        uint64_t seed = (uint64_t)(options.seed + i);
        if (sim_run(seed, options.sabotage, options.is_verbose))
            continue;
        printf("replay: sim --seed %llu%s%s\n", (unsigned long long)seed,
               is_sabotaged ? " --sabotage " : "",
               is_sabotaged ? sabotage_name(options.sabotage) : "");
        return is_sabotaged ? 0 : 1;
    }
    printf("%lld seeds, all invariants held\n", (long long)options.seeds);
    return is_sabotaged ? 1 : 0;
}
