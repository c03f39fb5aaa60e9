/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options for limits, the same in each command that changes a key, a user or a model.
 *
 *     struct limit_options limits = {0};
 *     const struct cli_option options[] = {LIMIT_OPTIONS(limits), {0}};
 *     ... limit_options_read(&limits, body, err)
 */
#pragma once

#include "app/cli.h"

/* Texts of the options that were given; borrowed from argv. */
struct limit_options {
    const char *requests_per_minute, *tokens_per_minute, *concurrent_requests;
    const char *token_budget, *budget_period;
};

#define LIMIT_OPTIONS(limits)                                                                      \
    {.name = "requests-per-minute", .value = "N",                                                  \
     .help = "requests in a minute, 0 for no limit", .text = &(limits).requests_per_minute},       \
        {.name = "tokens-per-minute", .value = "N",                                                \
         .help = "tokens in a minute, 0 for no limit", .text = &(limits).tokens_per_minute},       \
        {.name = "concurrent-requests", .value = "N",                                              \
         .help = "requests at the same time, 0 for no limit",                                      \
         .text = &(limits).concurrent_requests},                                                   \
        {.name = "token-budget", .value = "N",                                                     \
         .help = "tokens in a budget period, 0 for no limit", .text = &(limits).token_budget},     \
        {.name = "budget-period", .value = "WORD",                                                 \
         .help = "when a budget begins anew: never, hour, day, week, month",                       \
         .text = &(limits).budget_period}

/* Adds what the options say to a body. A usage fault names the option and what is allowed. */
int limit_options_read(const struct limit_options *limits, json_t *body,
                       struct err *err) must_check;
