/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of budgets: loaded, counted on top, periods that end, budgets that change meanwhile. */
#include "control/spending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define MONDAY INT64_C(1764547200000) /* 2025-12-01 00:00, a Monday and the first of a month */

static const struct limits by_hour = {.token_budget = 1, .budget_period = BUDGET_HOUR};
static const struct limits by_day = {.token_budget = 1, .budget_period = BUDGET_DAY};
static const struct limits by_week = {.token_budget = 1, .budget_period = BUDGET_WEEK};
static const struct limits by_month = {.token_budget = 1, .budget_period = BUDGET_MONTH};
static const struct limits for_ever = {.token_budget = 1, .budget_period = BUDGET_NEVER};
static const struct limits no_budget = {.requests_per_minute = 5};

static struct spending spending;

static int set_up(void **state)
{
    spending_init(&spending);
    return 0;
}

static int tear_down(void **state)
{
    spending_fini(&spending);
    return 0;
}

/* One record of user 1, key 2 and model 3. */
static void add(int64_t started_ms, int64_t prompt, int64_t completion)
{
    struct usage usage = {.user_id = 1,
                          .key_id = 2,
                          .model_id = 3,
                          .prompt_tokens = prompt,
                          .completion_tokens = completion,
                          .started_ms = started_ms};
    const struct usage_batch batch = {.records = &usage, .count = 1};
    spending_add(&spending, &batch);
}

/* Answers a load as the store would. */
static void answer(struct usage_sums *sums, int64_t tokens)
{
    sums->items = mem_alloc(sizeof *sums->items);
    sums->items[0] =
        (struct usage_sum){.user_id = 1, .key_id = 2, .model_id = 3, .tokens = tokens};
    sums->count = 1;
    spending_end_load(&spending, sums);
}

static void load(int64_t tokens)
{
    struct usage_sums *sums;
    while ((sums = spending_begin_load(&spending)))
        answer(sums, tokens);
}

/* ---- what is told ---- */

static char told[512];

static void tell(const struct spent *spent, void *ctx)
{
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s%s %lld: %lld since %lld", len ? "; " : "",
             spending_subject_names[spent->subject], (long long)spent->id,
             (long long)spent->tokens, (long long)((spent->start_ms - MONDAY) / HOUR_MS));
}

static const char *news(void)
{
    told[0] = '\0';
    spending_take_news(&spending, tell, NULL);
    return told;
}

static const char *all(void)
{
    told[0] = '\0';
    spending_each(&spending, tell, NULL);
    return told;
}

/* ---- tests ---- */

static void test_loaded_and_counted_on(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY + 5);
    assert_string_equal(all(), "");
    load(100);
    assert_string_equal(news(), "key 2: 100 since 0");
    assert_string_equal(news(), "");
    add(MONDAY + 7, 20, 3);
    assert_string_equal(news(), "key 2: 123 since 0");
    assert_string_equal(all(), "key 2: 123 since 0");
}

static void test_each_subject_counts_its_own(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    spending_set(&spending, SPENDING_USER, 1, &by_day, MONDAY);
    spending_set(&spending, SPENDING_MODEL, 3, &by_day, MONDAY);
    spending_set(&spending, SPENDING_USER, 2, &by_day, MONDAY);
    spending_set(&spending, SPENDING_KEY, 1, &by_day, MONDAY);
    load(10);
    add(MONDAY, 5, 0);
    assert_string_equal(all(), "key 2: 15 since 0; user 1: 15 since 0; model 3: 15 since 0; "
                               "user 2: 0 since 0; key 1: 0 since 0");
}

static void test_no_budget_no_counting(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &no_budget, MONDAY);
    spending_set(&spending, SPENDING_USER, 1, NULL, MONDAY);
    assert_null(spending_begin_load(&spending));
    add(MONDAY, 5, 0);
    assert_string_equal(news(), "");
    assert_int_equal(spending_next_end(&spending), INT64_MAX);
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    load(7);
    spending_set(&spending, SPENDING_KEY, 2, &no_budget, MONDAY);
    assert_string_equal(all(), "");
    assert_string_equal(news(), "");
}

/* What comes while the store sums up is on top of its sums, and told with them. */
static void test_batches_during_a_load(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    add(MONDAY, 1000, 0); /* before the load: the store has it */
    struct usage_sums *sums = spending_begin_load(&spending);
    assert_non_null(sums);
    assert_null(spending_begin_load(&spending));
    add(MONDAY, 5, 0);
    assert_string_equal(news(), "");
    answer(sums, 1100);
    assert_string_equal(news(), "key 2: 1105 since 0");
}

/* A budget that is changed while it is loaded belongs to its later load alone. */
static void test_a_change_during_a_load(void **state)
{
    int64_t now_ms = MONDAY + 2 * DAY_MS;
    spending_set(&spending, SPENDING_KEY, 2, &by_day, now_ms);
    struct usage_sums *days = spending_begin_load(&spending);
    spending_set(&spending, SPENDING_KEY, 2, &by_week, now_ms);
    struct usage_sums *weeks = spending_begin_load(&spending);
    assert_int_equal(weeks->start_ms, MONDAY);
    answer(days, 4);
    assert_string_equal(all(), "");
    add(now_ms, 1, 0);
    answer(weeks, 40);
    assert_string_equal(all(), "key 2: 41 since 0");
}

static void test_dropped_during_a_load(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    struct usage_sums *sums = spending_begin_load(&spending);
    spending_set(&spending, SPENDING_KEY, 2, NULL, MONDAY);
    answer(sums, 4);
    assert_string_equal(all(), "");
}

/* A larger budget of the same period changes nothing of what is used up. */
static void test_only_the_period_matters(void **state)
{
    const struct limits more = {.token_budget = 99, .budget_period = BUDGET_DAY};
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    load(7);
    spending_set(&spending, SPENDING_KEY, 2, &more, MONDAY + 1);
    assert_null(spending_begin_load(&spending));
    assert_string_equal(all(), "key 2: 7 since 0");
}

static void test_loads_are_shared(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    spending_set(&spending, SPENDING_USER, 1, &by_week, MONDAY); /* both begin here */
    spending_set(&spending, SPENDING_MODEL, 3, &by_month, MONDAY);
    spending_set(&spending, SPENDING_USER, 2, &by_hour, MONDAY); /* needs sums by hour */
    struct usage_sums *days = spending_begin_load(&spending);
    struct usage_sums *hours = spending_begin_load(&spending);
    assert_null(spending_begin_load(&spending));
    assert_false(days->is_hourly);
    assert_true(hours->is_hourly);
    answer(days, 1);
    answer(hours, 2);
    assert_string_equal(all(), "key 2: 1 since 0; user 1: 1 since 0; model 3: 1 since 0; "
                               "user 2: 0 since 0");
}

struct turn_over_case {
    const struct limits *limits;
    int64_t now_ms, start_ms, end_ms;
};

static void test_periods(void **state)
{
    const struct turn_over_case cases[] = {
        {&by_hour, MONDAY - 1, MONDAY - HOUR_MS, MONDAY},
        {&by_day, MONDAY - 1, MONDAY - DAY_MS, MONDAY},
        {&by_week, MONDAY - 1, MONDAY - 7 * DAY_MS, MONDAY},
        {&by_month, MONDAY - 1, MONDAY - 30 * DAY_MS, MONDAY},
        {&by_hour, MONDAY, MONDAY, MONDAY + HOUR_MS},
        {&by_day, MONDAY, MONDAY, MONDAY + DAY_MS},
        {&by_week, MONDAY, MONDAY, MONDAY + 7 * DAY_MS},
        {&by_month, MONDAY, MONDAY, MONDAY + 31 * DAY_MS},
        {&for_ever, MONDAY, 0, INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        spending_set(&spending, SPENDING_KEY, 2, cases[i].limits, cases[i].now_ms);
        assert_int_equal(spending_next_end(&spending), cases[i].end_ms);
        struct usage_sums *sums = spending_begin_load(&spending);
        assert_int_equal(sums->start_ms, cases[i].start_ms);
        answer(sums, 1);
        spending_set(&spending, SPENDING_KEY, 2, NULL, MONDAY);
    }
}

static void test_a_period_ends(void **state)
{
    spending_set(&spending, SPENDING_KEY, 2, &by_day, MONDAY);
    spending_set(&spending, SPENDING_USER, 1, &by_week, MONDAY);
    load(10);
    (void)news();
    spending_turn_over(&spending, MONDAY + DAY_MS - 1);
    assert_null(spending_begin_load(&spending));
    spending_turn_over(&spending, MONDAY + DAY_MS);
    load(2); /* of the new day already */
    assert_string_equal(news(), "key 2: 2 since 24");
    add(MONDAY + DAY_MS - 1, 1000, 0); /* of a request that began yesterday */
    assert_string_equal(news(), "user 1: 1010 since 0");
    add(MONDAY + DAY_MS, 1, 0);
    assert_string_equal(news(), "key 2: 3 since 24; user 1: 1011 since 0");
}

#define SPENDING_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPENDING_TEST(test_loaded_and_counted_on),
        SPENDING_TEST(test_each_subject_counts_its_own),
        SPENDING_TEST(test_no_budget_no_counting),
        SPENDING_TEST(test_batches_during_a_load),
        SPENDING_TEST(test_a_change_during_a_load),
        SPENDING_TEST(test_dropped_during_a_load),
        SPENDING_TEST(test_only_the_period_matters),
        SPENDING_TEST(test_loads_are_shared),
        SPENDING_TEST(test_periods),
        SPENDING_TEST(test_a_period_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
