/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)

static const int64_t start_us = 12345678901;

static bool take(struct rate *rate, int64_t limit, int64_t n, int64_t now_us)
{
    struct rate_hold hold;
    int64_t wait_us;
    return rate_take(rate, limit, n, now_us, &hold, &wait_us);
}

static void test_n_pass_and_not_one_more(void **state)
{
    static const int64_t limits[] = {1, 2, 3, 7, 59, 60, 61, 999, 1000, 12345, RATE_EXACT_MAX};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct rate rate = {0};
        for (int64_t n = 0; n < limits[i]; n++) {
            assert_int_equal(rate_remaining(&rate, limits[i], start_us), limits[i] - n);
            assert_true(take(&rate, limits[i], 1, start_us));
        }
        assert_int_equal(rate_remaining(&rate, limits[i], start_us), 0);
        assert_false(take(&rate, limits[i], 1, start_us));
    }
}

static void test_huge_limits(void **state)
{
    struct rate rate = {0};
    int64_t limit = 1000000000;
    for (int i = 0; i < 10; i++)
        assert_true(take(&rate, limit, limit / 10, start_us));
    assert_false(take(&rate, limit, 1, start_us));
    assert_true(take(&rate, limit, limit, start_us + MINUTE));
    assert_false(take(&rate, limit, 1, start_us + MINUTE));
}

static void test_wait_is_exact(void **state)
{
    for (int64_t limit = 1; limit < 2000; limit += 13) {
        struct rate rate = {0};
        struct rate_hold hold;
        int64_t wait_us = 0, n = limit / 3 + 1;
        assert_true(take(&rate, limit, limit, start_us));
        assert_false(rate_take(&rate, limit, n, start_us, &hold, &wait_us));
        assert_true(wait_us > 0 && wait_us <= MINUTE);
        assert_false(take(&rate, limit, n, start_us + wait_us - 1));
        assert_true(take(&rate, limit, n, start_us + wait_us));
    }
}

static void test_minute_gives_all_back(void **state)
{
    struct rate rate = {0};
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 10; i++)
            assert_true(take(&rate, 10, 1, start_us + round * MINUTE));
        assert_false(take(&rate, 10, 1, start_us + round * MINUTE));
    }
    assert_int_equal(rate_reset_us(&rate, start_us + 4 * MINUTE), MINUTE);
    assert_int_equal(rate_reset_us(&rate, start_us + 5 * MINUTE), 0);
}

static void test_undo(void **state)
{
    struct rate rate = {0};
    struct rate_hold hold = {0};
    int64_t wait_us;
    rate_undo(&rate, &hold); /* nothing is held */
    assert_true(rate_take(&rate, 10, 4, start_us, &hold, &wait_us));
    rate_undo(&rate, &hold);
    assert_int_equal(rate_remaining(&rate, 10, start_us), 10);
    assert_true(take(&rate, 10, 10, start_us));
}

static void test_settled_for_less(void **state)
{
    struct rate rate = {0};
    struct rate_hold hold;
    int64_t wait_us;
    assert_true(rate_take(&rate, 100, 80, start_us, &hold, &wait_us));
    rate_settle(&rate, &hold, 30, start_us);
    assert_int_equal(rate_remaining(&rate, 100, start_us), 70);
    assert_true(take(&rate, 100, 70, start_us));
    assert_false(take(&rate, 100, 1, start_us));
}

static void test_settled_for_more(void **state)
{
    struct rate rate = {0};
    struct rate_hold hold;
    int64_t wait_us;
    assert_true(rate_take(&rate, 100, 10, start_us, &hold, &wait_us));
    rate_settle(&rate, &hold, 40, start_us);
    assert_int_equal(rate_remaining(&rate, 100, start_us), 60);
    assert_true(rate_take(&rate, 100, 60, start_us, &hold, &wait_us));
    rate_settle(&rate, &hold, INT64_C(1) << 60, start_us);
    assert_int_equal(rate_remaining(&rate, 100, start_us), 0);
    assert_int_equal(rate_reset_us(&rate, start_us), 2 * MINUTE);
    assert_false(take(&rate, 100, 1, start_us + MINUTE));
    assert_true(take(&rate, 100, 100, start_us + 2 * MINUTE));
}

/* 60 a minute: 60 at 0 s are passed at 60 s; 10 at 61 s stay taken whatever the first ones were. */
static void test_what_time_has_passed_stays_passed(void **state)
{
    struct rate rate = {0};
    struct rate_hold first, second;
    int64_t wait_us;
    assert_true(rate_take(&rate, 60, 60, start_us, &first, &wait_us));
    assert_true(rate_take(&rate, 60, 10, start_us + 61 * SECOND, &second, &wait_us));
    rate_settle(&rate, &first, 0, start_us + 61 * SECOND);
    assert_int_equal(rate_remaining(&rate, 60, start_us + 61 * SECOND), 50);
    rate_settle(&rate, &second, 0, start_us + 61 * SECOND);
    assert_int_equal(rate_remaining(&rate, 60, start_us + 61 * SECOND), 60);
}

/* Half of the minute is passed, the other half comes back. */
static void test_half_passed(void **state)
{
    struct rate rate = {0};
    struct rate_hold hold;
    int64_t wait_us, then_us = start_us + 30 * SECOND;
    assert_true(rate_take(&rate, 60, 60, start_us, &hold, &wait_us));
    assert_true(take(&rate, 60, 30, then_us));
    rate_settle(&rate, &hold, 0, then_us);
    assert_int_equal(rate_remaining(&rate, 60, then_us), 30);
}

static void test_changed_limit(void **state)
{
    struct rate rate = {0};
    assert_true(take(&rate, 10, 5, start_us));
    assert_int_equal(rate_remaining(&rate, 100, start_us), 50);
    assert_int_equal(rate_remaining(&rate, 4, start_us), 2);
    assert_true(take(&rate, 4, 2, start_us));
    assert_false(take(&rate, 1000, 1, start_us));
    assert_true(take(&rate, 1000, 1, start_us + MINUTE / 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_n_pass_and_not_one_more),
        cmocka_unit_test(test_huge_limits),
        cmocka_unit_test(test_wait_is_exact),
        cmocka_unit_test(test_minute_gives_all_back),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_settled_for_less),
        cmocka_unit_test(test_settled_for_more),
        cmocka_unit_test(test_what_time_has_passed_stays_passed),
        cmocka_unit_test(test_half_passed),
        cmocka_unit_test(test_changed_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
