/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_scale [--check] [WORKERS]...
 *
 * Prints what control's decisions cost with so many workers of 8 devices and 4 instances each (100,
 * 1000, 3000 and 10000 without a number), and with --check exits with 1 when time or memory per
 * worker at the largest size are more than 1.5 times those at a tenth of it.
 */
#include "auth/auth.h"
#include "base/log.h"
#include "base/num.h"
#include "sim/scale_run.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZES_MAX = 8 };

#define RATIO_MAX 1.5

struct options {
    size_t sizes[SIZES_MAX];
    size_t count;
    bool is_checked;
};

static int usage(void)
{
    fputs("usage: sim_scale [--check] [WORKERS]...\n", stderr);
    return 2;
}

static int read_options(int argc, char **argv, struct options *ret)
{
    static const size_t usual[] = {100, 1000, 3000, 10000};
    for (int i = 1; i < argc; i++) {
        int64_t size;
        if (strcmp(argv[i], "--check") == 0)
            ret->is_checked = true;
        else if (ret->count == SIZES_MAX || num_parse_i64(str_of(argv[i]), 100, 20000, &size) < 0)
            return -1;
        else
            ret->sizes[ret->count++] = (size_t)size;
    }
    for (size_t i = 0; ret->count == i && i < ARRAY_LEN(usual); i++)
        ret->sizes[ret->count++] = usual[i];
    return 0;
}

/* In a process of its own, so that its memory is its own. */
static int run_apart(size_t workers, struct scale_result *shared)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        scale_run(workers, shared);
        _exit(0);
    }
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

/* ---- figures ---- */

static double cpu_s(const struct scale_result *result)
{
    double sum = 0;
    for (int i = 0; i < SCALE_PHASES; i++)
        sum += result->costs[i].cpu_s;
    return sum;
}

/* CPU milliseconds per virtual minute. */
static double ms_a_minute(const struct scale_cost *cost, enum scale_phase phase)
{
    return cost->cpu_s * 1000 * 60 / (double)scale_phase_s(phase);
}

static void print_phase(size_t workers, enum scale_phase phase, const struct scale_cost *cost)
{
    double us = cost->reports ? cost->report_cpu_s * 1e6 / (double)cost->reports : 0;
    printf("%7zu %-7s %12.0f %10.1f %12.1f %9llu\n", workers, scale_phase_name(phase),
           ms_a_minute(cost, phase), us, cost->longest_turn_s * 1000,
           (unsigned long long)cost->rows);
}

static void print_result(size_t workers, const struct scale_result *result)
{
    for (int phase = 0; phase < SCALE_PHASES; phase++)
        print_phase(workers, (enum scale_phase)phase, &result->costs[phase]);
    printf("%7zu all: %.2f s of CPU, %.0f us per worker and virtual minute, %.0f bytes per worker, "
           "%llu instances run, %llu made anew\n",
           workers, cpu_s(result), cpu_s(result) * 1e6 / (double)workers / 12,
           (double)result->peak_bytes / (double)workers, (unsigned long long)result->running,
           (unsigned long long)result->replaced);
}

static bool is_linear(const char *what, double at_small, double at_large)
{
    double ratio = at_large / at_small;
    printf("%s per worker, largest to a tenth of it: %.2f (at most %.1f: %s)\n", what, ratio,
           RATIO_MAX, ratio <= RATIO_MAX ? "met" : "missed");
    return ratio <= RATIO_MAX;
}

static bool check(size_t workers, const struct scale_result *small,
                  const struct scale_result *large)
{
    double few = (double)(workers / 10), many = (double)workers;
    bool is_good = is_linear("memory", (double)small->peak_bytes / few,
                             (double)large->peak_bytes / many);
    for (int i = 0; i < SCALE_PHASES; i++)
        is_good &= is_linear(scale_phase_name((enum scale_phase)i), small->costs[i].cpu_s / few,
                             large->costs[i].cpu_s / many);
    return is_good;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    if (read_options(argc, argv, &options) < 0)
        return usage();
    log_set_level(LOG_ERROR);
    auth_init();
    struct scale_result *results = mmap(NULL, sizeof *results * SIZES_MAX, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        return 1;
    printf("workers phase    CPU ms/min  us/report  longest ms      rows\n");
    for (size_t i = 0; i < options.count; i++) {
        if (run_apart(options.sizes[i], &results[i]) < 0)
            return 1;
        print_result(options.sizes[i], &results[i]);
    }
    const struct scale_result *small = NULL;
    size_t last = options.count - 1;
    for (size_t i = 0; i < last; i++)
        if (options.sizes[i] * 10 == options.sizes[last])
            small = &results[i];
    if (!options.is_checked)
        return 0;
    return small && check(options.sizes[last], small, &results[last]) ? 0 : 1;
}
