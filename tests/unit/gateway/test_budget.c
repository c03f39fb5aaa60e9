/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)

static const int64_t noon_ms = 20780 * DAY + 12 * HOUR; /* in November 2026 */

static bool take(struct budget *budget, int64_t limit, int64_t tokens, int64_t wall_ms,
                 struct budget_hold *ret)
{
    int64_t taken;
    return budget_take(budget, limit, tokens, wall_ms, ret, &taken);
}

static void test_up_to_the_limit(void **state)
{
    struct budget budget = {0};
    struct budget_hold a, b, c;
    int64_t taken;
    budget_use(&budget, BUDGET_DAY);
    assert_true(take(&budget, 100, 60, noon_ms, &a));
    assert_true(take(&budget, 100, 40, noon_ms, &b));
    assert_false(budget_take(&budget, 100, 1, noon_ms, &c, &taken));
    assert_int_equal(taken, 100);
    budget_settle(&budget, &a, 10, noon_ms);
    assert_int_equal(budget_taken(&budget, noon_ms), 50);
    assert_true(take(&budget, 100, 50, noon_ms, &c));
    budget_settle(&budget, &b, 45, noon_ms); /* more than it held: counted all the same */
    assert_int_equal(budget_taken(&budget, noon_ms), 105);
    budget_settle(&budget, &c, 0, noon_ms);
    assert_int_equal(budget_taken(&budget, noon_ms), 55);
}

static void test_not_in_use(void **state)
{
    struct budget budget = {0};
    const struct budget_hold nothing = {0};
    budget_settle(&budget, &nothing, 100, noon_ms);
    assert_int_equal(budget_taken(&budget, noon_ms), 0);
    assert_false(budget_is_used(&budget));
    assert_false(budget_advance(&budget, noon_ms));
    /* A request that began before the budget counts once it has one. */
    budget_use(&budget, BUDGET_HOUR);
    budget_settle(&budget, &nothing, 100, noon_ms);
    assert_int_equal(budget_taken(&budget, noon_ms), 100);
}

static void test_next_period(void **state)
{
    struct budget budget = {0};
    struct budget_hold old, fresh;
    int64_t end_ms = noon_ms + 12 * HOUR;
    budget_use(&budget, BUDGET_DAY);
    assert_true(take(&budget, 100, 100, noon_ms, &old));
    assert_int_equal(budget_end_ms(&budget), end_ms);
    assert_false(take(&budget, 100, 1, end_ms - 1, &fresh));
    assert_true(take(&budget, 100, 100, end_ms, &fresh));
    budget_settle(&budget, &old, 70, noon_ms); /* of yesterday: neither held nor used today */
    assert_int_equal(budget_taken(&budget, end_ms), 100);
    /* A clock that is behind neither begins the old day again nor counts into today. */
    assert_false(take(&budget, 100, 1, end_ms - 1, &old));
    budget_settle(&budget, &fresh, 80, end_ms);
    assert_true(take(&budget, 100, 20, end_ms - 1, &old));
    budget_settle(&budget, &old, 20, end_ms - 1);
    assert_int_equal(budget_taken(&budget, end_ms), 80);
}

static void test_kinds(void **state)
{
    struct budget budget = {0};
    struct budget_hold hold;
    budget_use(&budget, BUDGET_NEVER);
    assert_true(take(&budget, 100, 60, noon_ms, &hold));
    assert_int_equal(budget_end_ms(&budget), INT64_MAX);
    assert_int_equal(budget_taken(&budget, noon_ms + 4000 * DAY), 60);
    budget_use(&budget, BUDGET_NEVER);
    assert_int_equal(budget_taken(&budget, noon_ms), 60);
    budget_use(&budget, BUDGET_HOUR);
    assert_int_equal(budget_taken(&budget, noon_ms), 0);
    budget_settle(&budget, &hold, 50, noon_ms); /* what it used is of this hour */
    assert_int_equal(budget_taken(&budget, noon_ms), 50);
    assert_int_equal(budget_end_ms(&budget), noon_ms + HOUR);
    budget_use(&budget, BUDGET_MONTH);
    assert_int_equal(budget_taken(&budget, noon_ms), 0);
    assert_true(budget_end_ms(&budget) > noon_ms + HOUR);
}

static void test_figures(void **state)
{
    struct budget budget = {0};
    int64_t day_ms = noon_ms - 12 * HOUR;
    budget_use(&budget, BUDGET_DAY);
    assert_false(budget_advance(&budget, day_ms + HOUR)); /* no day begins then */
    assert_true(budget_advance(&budget, day_ms));
    struct budget_now now = budget_now(&budget);
    assert_int_equal(now.start_ms, day_ms);
    budget_charge(&budget, now.epoch, 30);
    assert_true(budget_advance(&budget, day_ms));
    assert_int_equal(budget_taken(&budget, noon_ms), 30);
    budget_charge(&budget, now.epoch, -40);
    assert_int_equal(budget_taken(&budget, noon_ms), 0);
    assert_false(budget_advance(&budget, day_ms - DAY));
    assert_true(budget_advance(&budget, day_ms + DAY));
    budget_charge(&budget, now.epoch, 30); /* of yesterday */
    assert_int_equal(budget_taken(&budget, noon_ms + DAY), 0);
    assert_int_not_equal(budget_now(&budget).epoch, now.epoch);
}

static void test_huge(void **state)
{
    struct budget budget = {0};
    struct budget_hold hold;
    budget_use(&budget, BUDGET_NEVER);
    for (int i = 0; i < 3; i++)
        assert_true(take(&budget, INT64_MAX, BUDGET_TOKENS_MAX, noon_ms, &hold));
    assert_int_equal(budget_taken(&budget, noon_ms), BUDGET_TOKENS_MAX);
    assert_false(take(&budget, BUDGET_TOKENS_MAX, 1, noon_ms, &hold));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_to_the_limit),
        cmocka_unit_test(test_not_in_use),
        cmocka_unit_test(test_next_period),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
