/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/score.h"

#include <stdbool.h>

static double company_base(const struct score_worker *worker)
{
    if (worker->same && worker->others)
        return 70;
    return worker->same ? 80 : 90;
}

/* What one device adds, of `share` at most. */
static double device_term(const struct score_worker *worker, size_t i, double share)
{
    double same = worker->same_on[i], others = worker->others_on[i];
    if (worker->same && worker->others)
        return share / ((same + 1) + 0.2 * (others + 1));
    return share / ((worker->same ? same : others) + 1);
}

double score_spread(const struct score_worker *worker)
{
    if (!worker->same && !worker->others)
        return 100;
    double score = company_base(worker);
    if (worker->device_count == 0)
        return score + 10.0 / (worker->same + worker->others + 1);
    double share = 10.0 / ((double)worker->device_count + 1);
    for (size_t i = 0; i < worker->device_count; i++) {
        bool is_unused = !worker->same_on[i] && !worker->others_on[i];
        score += is_unused ? share : device_term(worker, i, share);
    }
    return score;
}

double score_binpack(uint64_t claim_bytes, uint64_t allocatable_bytes)
{
    return allocatable_bytes ? 100.0 * (double)claim_bytes / (double)allocatable_bytes : 0;
}

/* 1 for the fewest, 0 for the most; 1 when all have as many. */
static double inverse(unsigned value, unsigned min, unsigned max)
{
    return max <= min ? 1 : 1 - (double)(value - min) / (double)(max - min);
}

static double worker_part(const struct score_worker *worker, const struct score_field *field)
{
    double same = inverse(worker->same, field->same_min, field->same_max);
    double others = inverse(worker->others, field->others_min, field->others_max);
    if (field->same_min > 0)
        return 0.50 + 0.25 * same + 0.15 * others;
    return worker->same ? 0.45 + 0.35 * same + 0.20 * others : 0.85 + 0.15 * others;
}

double score_spread_among(const struct score_worker *worker, const struct score_field *field)
{
    double unused = 0;
    for (size_t i = 0; i < worker->device_count; i++)
        unused += 1 / (1 + (double)worker->same_on[i] + 0.2 * (double)worker->others_on[i]);
    double devices = worker->device_count ? unused / (double)worker->device_count : 1;
    return 100 * (0.85 * worker_part(worker, field) + 0.15 * devices);
}

double score_binpack_device(double ram_part, double device_part)
{
    return 100 * (ram_part + 2 * device_part) / 3;
}

double score_scale_down(enum score_status status, double offload, double placement)
{
    return (100.0 * status + 10.0 * offload + placement) / 111.0;
}
