/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_placement --traces DIR [--seeds FIRST-LAST] [--policy NAME] [TRACE]...
 *
 * Replays traces of DIR, with each seed, and prints lines for tests/bench/placement.py:
 *
 *     allocated TRACE POLICY MEAN DEVIATION MEAN_AT_130     percent of all device units
 *     time TRACE POLICY P99_US MAX_US MEAN_S MAX_S          a decision; a whole replay with parsing
 *
 * TRACE is the NAME of openb_pod_list_NAME.csv, "A+B" for the tasks of both, ":half" behind it for
 * a half of the tasks drawn at random. `--large` instead measures decisions among 10,000 nodes with
 * 8 devices each, the first 20,000 tasks of a replay. Times are CPU time of the one thread.
 */
#include "bench/placement/replay.h"

#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SEEDS_MAX = 1000, LARGE_NODES = 10000, LARGE_DEVICES = 8, LARGE_DECISIONS = 20000 };

struct options {
    const char *traces, *policy;
    int64_t first_seed, last_seed;
    bool is_large;
    const char *const *names; /* of traces */
    size_t name_count;
};

/* ---- traces ---- */

static int read_tasks(struct trace *trace, const char *dir, struct str name, struct err *err)
{
    auto_free char *path =
        mem_printf("%s/openb_pod_list_%.*s.csv", dir, STR_ARGS(name));
    return trace_read_tasks(trace, path, err);
}

/* Keeps a half, the same each time. */
static void halve(struct trace *trace)
{
    struct rng rng = {2026};
    size_t kept = 0;
    for (size_t i = 0; i < trace->task_count; i++)
        if (rng_chance(&rng, 500))
            trace->tasks[kept++] = trace->tasks[i];
    trace->task_count = kept;
}

static int read_trace(struct trace *trace, const char *dir, const char *name, struct err *err)
{
    auto_free char *path = mem_printf("%s/openb_node_list_gpu_node.csv", dir);
    int rc = trace_read_nodes(trace, path, err);
    struct str rest = str_of(name), tail = str_sub(":half", 5), one;
    bool is_half = str_has_suffix(rest, tail);
    if (is_half)
        rest.len -= tail.len;
    while (rc == 0 && str_split(&rest, '+', &one))
        rc = read_tasks(trace, dir, one, err);
    if (rc == 0 && is_half)
        halve(trace);
    if (rc == 0 && trace->task_count == 0)
        return err_set(err, ERR_INVALID, "%s: trace without tasks", name);
    return rc;
}

/* ---- what came out ---- */

struct summary {
    double sum, squares, at_130, seconds, seconds_max;
    uint64_t *ns; /* owned; of all decisions */
    size_t ns_count;
    unsigned runs;
};

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void add_result(struct summary *summary, const struct replay_result *result, double parsing)
{
    double seconds = result->seconds + parsing;
    summary->sum += result->at_100;
    summary->squares += result->at_100 * result->at_100;
    summary->at_130 += result->at_130;
    summary->seconds += seconds;
    summary->seconds_max = fmax(summary->seconds_max, seconds);
    summary->runs++;
    size_t count = summary->ns_count + result->decision_count;
    summary->ns = mem_resize(summary->ns, (count + 1) * sizeof *summary->ns);
    memcpy(summary->ns + summary->ns_count, result->decision_ns,
           result->decision_count * sizeof *summary->ns);
    summary->ns_count = count;
}

static void print_summary(const char *trace, const char *policy, struct summary *summary)
{
    double runs = summary->runs, mean = summary->sum / runs;
    double deviation = sqrt(fmax(0, summary->squares / runs - mean * mean));
    qsort(summary->ns, summary->ns_count, sizeof *summary->ns, compare_ns);
    double p99 = (double)summary->ns[summary->ns_count * 99 / 100] / 1e3;
    double max = (double)summary->ns[summary->ns_count - 1] / 1e3;
    printf("allocated %s %s %.3f %.3f %.3f\n", trace, policy, mean, deviation,
           summary->at_130 / runs);
    printf("time %s %s %.1f %.1f %.3f %.3f\n", trace, policy, p99, max, summary->seconds / runs,
           summary->seconds_max);
    fflush(stdout);
}

/* ---- runs ---- */

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_policy(const struct options *options, struct replay_plan plan,
                       const struct policy *policy, double parsing, const char *name)
{
    auto_fini(mix_fini) struct mix mix = {0};
    struct summary summary = {0};
    double start = cpu_seconds();
    trace_mix(plan.trace, policy->of_units, &mix);
    parsing += cpu_seconds() - start;
    plan.mix = &mix;
    for (int64_t seed = options->first_seed; seed <= options->last_seed; seed++) {
        struct replay_result result;
        replay_run(&plan, policy, (uint64_t)seed, &result);
        add_result(&summary, &result, parsing);
        replay_result_fini(&result);
    }
    print_summary(name, policy->name, &summary);
    free(summary.ns);
}

/* More nodes, like the trace's largest, instead of its own. */
static void enlarge(struct trace *trace)
{
    inventory_fini(&trace->nodes);
    for (unsigned i = 0; i < LARGE_NODES; i++) {
        inventory_add_node(&trace->nodes, &(struct inventory_node){.cpu_free = 128000,
                                              .ram_free = 1 << 20, .class_bit = 1U << i % 4});
        for (unsigned d = 0; d < LARGE_DEVICES; d++)
            inventory_add_device(&trace->nodes, (struct inventory_device){
                                                    .total = TRACE_DEVICE_UNITS,
                                                    .free = TRACE_DEVICE_UNITS});
    }
}

static int run_trace(const struct options *options, const char *name, struct err *err)
{
    auto_fini(trace_fini) struct trace trace = {0};
    double start = cpu_seconds();
    int rc = read_trace(&trace, options->traces, name, err);
    if (rc < 0)
        return rc;
    double parsing = cpu_seconds() - start;
    struct replay_plan plan = {.trace = &trace, .decisions_max = SIZE_MAX};
    if (options->is_large) {
        enlarge(&trace);
        plan.decisions_max = LARGE_DECISIONS;
    }
    for (size_t i = 0; i < policy_count; i++)
        if (!options->policy || strcmp(options->policy, policies[i].name) == 0)
            run_policy(options, plan, &policies[i], parsing, name);
    return 0;
}

static int read_seeds(const char *text, struct options *ret, struct err *err)
{
    struct str rest = str_of(text), first;
    if (!str_split(&rest, '-', &first) ||
        num_parse_i64(first, 0, INT32_MAX, &ret->first_seed) < 0 ||
        num_parse_i64(rest, ret->first_seed, ret->first_seed + SEEDS_MAX, &ret->last_seed) < 0)
        return err_set(err, ERR_INVALID, "seeds are FIRST-LAST, at most %d, not %s", SEEDS_MAX,
                       text);
    return 0;
}

static int read_options(int argc, char **argv, struct options *ret, struct err *err)
{
    int i = 1;
    *ret = (struct options){.first_seed = 1, .last_seed = 10};
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--large") == 0) {
            ret->is_large = true;
            continue;
        }
        if (strcmp(argv[i], "--traces") == 0)
            ret->traces = value;
        else if (strcmp(argv[i], "--policy") == 0)
            ret->policy = value;
        else if (strcmp(argv[i], "--seeds") != 0)
            return err_set(err, ERR_INVALID, "unknown option %s", argv[i]);
        else if (read_seeds(value, ret, err) < 0)
            return -1;
        i++;
    }
    if (!ret->traces || i >= argc)
        return err_set(err, ERR_INVALID, "--traces DIR and names of traces are missing");
    ret->names = (const char *const *)argv + i;
    ret->name_count = (size_t)(argc - i);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = {0};
    int rc = read_options(argc, argv, &options, &err);
    for (size_t i = 0; rc == 0 && i < options.name_count; i++)
        rc = run_trace(&options, options.names[i], &err);
    if (rc < 0)
        fprintf(stderr, "bench_placement: %s\n", err.text);
    return rc < 0;
}
