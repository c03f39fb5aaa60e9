/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a key, a user or a model may consume: members of those three records, with the same names in
 * store, API and feed. doc/internals/gateway.md has the rules. Pure, any thread.
 */
#pragma once

#include "domain/record.h"

/* Periods begin at full UTC hours; weeks on Monday. BUDGET_NEVER is one period without an end. */
enum budget_period {
    BUDGET_NEVER,
    BUDGET_HOUR,
    BUDGET_DAY,
    BUDGET_WEEK,
    BUDGET_MONTH,
    BUDGET_PERIOD_COUNT
};

extern const char *const budget_period_names[BUDGET_PERIOD_COUNT];

enum { LIMITS_COUNT_MAX = 1000000000 }; /* per minute, and of concurrent requests */

/* 0 means no limit. */
struct limits {
    int64_t requests_per_minute; /* 0-LIMITS_COUNT_MAX */
    int64_t tokens_per_minute;   /* 0-LIMITS_COUNT_MAX */
    int64_t concurrent_requests; /* 0-LIMITS_COUNT_MAX */
    int64_t token_budget;        /* prompt and completion tokens in a period */
    int budget_period;           /* enum budget_period */
};

/* Rows of a record's field table; `type` has a member `struct limits limits`. */
#define LIMITS_FIELD(type, member) .name = #member, .offset = offsetof(type, limits.member)
#define LIMITS_FIELDS(type)                                                                        \
    {LIMITS_FIELD(type, requests_per_minute), .kind = FIELD_INT, .flags = FIELD_NULLABLE,          \
     .max = LIMITS_COUNT_MAX},                                                                     \
        {LIMITS_FIELD(type, tokens_per_minute), .kind = FIELD_INT, .flags = FIELD_NULLABLE,        \
         .max = LIMITS_COUNT_MAX},                                                                 \
        {LIMITS_FIELD(type, concurrent_requests), .kind = FIELD_INT, .flags = FIELD_NULLABLE,      \
         .max = LIMITS_COUNT_MAX},                                                                 \
        {LIMITS_FIELD(type, token_budget), .kind = FIELD_INT, .flags = FIELD_NULLABLE,             \
         .max = INT64_MAX},                                                                        \
        {LIMITS_FIELD(type, budget_period), .kind = FIELD_ENUM, .names = budget_period_names,      \
         .name_count = BUDGET_PERIOD_COUNT, .fallback = "\"never\""}

/* Whether any of them limits. */
bool limits_are_set(const struct limits *limits);

/* The begin of the period that holds `wall_ms`; 0 for BUDGET_NEVER. */
int64_t budget_period_start(enum budget_period period, int64_t wall_ms);

/* The begin of the next one; INT64_MAX for BUDGET_NEVER. */
int64_t budget_period_end(enum budget_period period, int64_t wall_ms);
