/* SPDX-License-Identifier: Apache-2.0 */
/* The documented scores, at the edges of their tables. */
#include "sched/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_near(double have, double want)
{
    if (fabs(have - want) > 1e-9)
        fail_msg("%.12f is not %.12f", have, want);
}

static void test_spread_without_devices(void **state)
{
    assert_near(score_spread(&(struct score_worker){0}), 100);
    assert_near(score_spread(&(struct score_worker){.others = 1}), 95);
    assert_near(score_spread(&(struct score_worker){.same = 1}), 85);
    assert_near(score_spread(&(struct score_worker){.same = 1, .others = 1}), 70 + 10.0 / 3);
}

static void test_spread_with_devices(void **state)
{
    const unsigned none[3] = {0}, first[3] = {1};
    struct score_worker worker = {
        .others = 1, .same_on = none, .others_on = first, .device_count = 3};
    assert_near(score_spread(&worker), 90 + 2.5 / 2 + 2.5 + 2.5);
    worker = (struct score_worker){
        .same = 1, .same_on = first, .others_on = none, .device_count = 3};
    assert_near(score_spread(&worker), 80 + 2.5 / 2 + 2.5 + 2.5);
    worker.others = 1;
    assert_near(score_spread(&worker), 70 + 2.5 / (2 + 0.2) + 2.5 + 2.5);
}

static void test_binpack(void **state)
{
    assert_near(score_binpack(25, 100), 25);
    assert_near(score_binpack(25, 0), 0);
}

static void test_scale_down(void **state)
{
    assert_near(score_scale_down(SCORE_UP, 100, 100), 100);
    assert_near(score_scale_down(SCORE_DOWN, 0, 100), 100.0 / 111);
    assert_true(score_scale_down(SCORE_UNSURE, 100, 100) < score_scale_down(SCORE_UP, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread_without_devices),
        cmocka_unit_test(test_spread_with_devices),
        cmocka_unit_test(test_binpack),
        cmocka_unit_test(test_scale_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
