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

/* GPUStack 2: both tables of the worker's part, with and without one that has none of the model. */
static void test_spread_among(void **state)
{
    const unsigned none[2] = {0}, one[2] = {1, 0};
    struct score_field field = {.same_min = 0, .same_max = 2, .others_min = 0, .others_max = 4};
    struct score_worker worker = {
        .others = 4, .same_on = none, .others_on = one, .device_count = 2};
    assert_near(score_spread_among(&worker, &field), 85 * 0.85 + 15 * (1 / 1.2 + 1) / 2);
    worker.others = 1;
    worker.device_count = 0;
    assert_near(score_spread_among(&worker, &field), 85 * (0.85 + 0.15 * 0.75) + 15);
    worker.same = 1;
    assert_near(score_spread_among(&worker, &field), 85 * (0.45 + 0.35 * 0.5 + 0.2 * 0.75) + 15);
    field.same_min = 1;
    assert_near(score_spread_among(&worker, &field), 85 * (0.50 + 0.25 + 0.15 * 0.75) + 15);
    field = (struct score_field){.same_min = 1, .same_max = 1};
    worker.others = 0;
    assert_near(score_spread_among(&worker, &field), 85 * 0.90 + 15);
}

static void test_binpack_device(void **state)
{
    assert_near(score_binpack_device(0.25, 0.5), (25 + 100) / 3.0);
    assert_near(score_binpack_device(1, 1), 100);
    assert_near(score_binpack_device(0, 0), 0);
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
        cmocka_unit_test(test_spread_among),
        cmocka_unit_test(test_binpack_device),
        cmocka_unit_test(test_scale_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
