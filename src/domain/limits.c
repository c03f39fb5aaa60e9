/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/limits.h"

#include <time.h>

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, WEEK_S = 7 * DAY_S };

const char *const budget_period_names[BUDGET_PERIOD_COUNT] = {
    [BUDGET_NEVER] = "never", [BUDGET_HOUR] = "hour",   [BUDGET_DAY] = "day",
    [BUDGET_WEEK] = "week",   [BUDGET_MONTH] = "month",
};

bool limits_are_set(const struct limits *limits)
{
    return limits->requests_per_minute || limits->tokens_per_minute ||
           limits->concurrent_requests || limits->token_budget;
}

static int64_t round_down(int64_t seconds, int64_t step, int64_t offset)
{
    return (seconds - offset) / step * step + offset;
}

/* The first second of the month that is `ahead` months after the one that holds `seconds`. */
static int64_t month_start(int64_t seconds, int ahead)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    gmtime_r(&time, &tm);
    struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + ahead, .tm_mday = 1};
    return (int64_t)timegm(&first);
}

int64_t budget_period_start(enum budget_period period, int64_t wall_ms)
{
    static const int64_t first_monday_s = 4 * DAY_S; /* 1970-01-05 */
    int64_t now = wall_ms / 1000;
    switch (period) {
    case BUDGET_HOUR:
        return round_down(now, HOUR_S, 0) * 1000;
    case BUDGET_DAY:
        return round_down(now, DAY_S, 0) * 1000;
    case BUDGET_WEEK:
        return round_down(now, WEEK_S, first_monday_s) * 1000;
    case BUDGET_MONTH:
        return month_start(now, 0) * 1000;
    case BUDGET_NEVER:
    case BUDGET_PERIOD_COUNT:
        break;
    }
    return 0;
}

int64_t budget_period_end(enum budget_period period, int64_t wall_ms)
{
    int64_t start = budget_period_start(period, wall_ms);
    switch (period) {
    case BUDGET_HOUR:
        return start + HOUR_S * 1000;
    case BUDGET_DAY:
        return start + DAY_S * 1000;
    case BUDGET_WEEK:
        return start + (int64_t)WEEK_S * 1000;
    case BUDGET_MONTH:
        return month_start(wall_ms / 1000, 1) * 1000;
    case BUDGET_NEVER:
    case BUDGET_PERIOD_COUNT:
        break;
    }
    return INT64_MAX;
}
