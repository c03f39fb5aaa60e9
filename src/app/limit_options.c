/* SPDX-License-Identifier: Apache-2.0 */
#include "app/limit_options.h"

#include "base/num.h"
#include "domain/limits.h"

static int read_number(const char *text, const char *option, int64_t max, int64_t *ret,
                       struct err *err)
{
    if (num_parse_i64(str_of(text), 0, max, ret) == 0)
        return 0;
    return cli_usage(err, "--%s must be 0-%lld, not %s", option, (long long)max, text);
}

static int add_number(const char *text, const char *option, const char *key, int64_t max,
                      json_t *body, struct err *err)
{
    int64_t number = 0;
    int rc = text ? read_number(text, option, max, &number, err) : 0;
    if (text && rc == 0)
        json_object_set_new(body, key, json_integer((json_int_t)number));
    return rc;
}

static int add_period(const char *word, json_t *body, struct err *err)
{
    for (int i = 0; word && i < BUDGET_PERIOD_COUNT; i++) {
        if (strcmp(word, budget_period_names[i]) != 0)
            continue;
        json_object_set_new(body, "budget_period", json_string(word));
        return 0;
    }
    return word ? cli_usage(err, "--budget-period must be never, hour, day, week or month, not %s",
                            word)
                : 0;
}

int limit_options_read(const struct limit_options *limits, json_t *body, struct err *err)
{
    const struct {
        const char *text, *option, *key;
        int64_t max;
    } rows[] = {
        {limits->requests_per_minute, "requests-per-minute", "requests_per_minute",
         LIMITS_COUNT_MAX},
        {limits->tokens_per_minute, "tokens-per-minute", "tokens_per_minute", LIMITS_COUNT_MAX},
        {limits->concurrent_requests, "concurrent-requests", "concurrent_requests",
         LIMITS_COUNT_MAX},
        {limits->token_budget, "token-budget", "token_budget", INT64_MAX},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++)
        rc = add_number(rows[i].text, rows[i].option, rows[i].key, rows[i].max, body, err);
    return rc == 0 ? add_period(limits->budget_period, body, err) : rc;
}
