/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds are kept, in which order, and the prior. */
#include "sched/mix.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_near(double have, double want)
{
    if (fabs(have - want) > 1e-9)
        fail_msg("%.12f is not %.12f", have, want);
}

static struct demand of_units(uint64_t units)
{
    return (struct demand){.devices = 1, .units = units};
}

static void test_most_frequent_are_kept(void **state)
{
    auto_fini(mix_fini) struct mix mix = {0};
    const uint64_t units[] = {10, 20, 30, 20, 40, 30, 20};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        mix_add(&mix, &(struct demand){.devices = 1, .units = units[i]}, i == 4 ? 0.25 : 1);
    mix_finish(&mix, 0.95, 0); /* 3 + 2 + 1 of 6.25 are 96 % */
    assert_int_equal(mix.count, 3);
    assert_int_equal(mix.kinds[0].demand.units, 20);
    assert_int_equal(mix.kinds[1].demand.units, 30);
    assert_int_equal(mix.kinds[2].demand.units, 10);
    assert_near(mix.kinds[0].weight, 0.5);
    assert_near(mix.kinds[1].weight, 1.0 / 3);
    assert_near(mix.kinds[2].weight, 1.0 / 6);
}

/* 96 of 100 cover 95 %; of what they leave, the one with the most units comes first. */
static void test_large_ones_are_kept_too(void **state)
{
    auto_fini(mix_fini) struct mix mix = {0};
    struct demand small = of_units(10), middle = of_units(20);
    mix_add(&mix, &small, 96);
    mix_add(&mix, &middle, 3);
    mix_add(&mix, &(struct demand){.devices = 8, .units = 100}, 1);
    mix_finish(&mix, 0.95, 0.95); /* 960 + 800 of 1,820 units are 97 % */
    assert_int_equal(mix.count, 2);
    assert_int_equal(mix.kinds[1].demand.devices, 8);
    assert_near(mix.kinds[1].weight, 1.0 / 97);
}

static void test_order_of_adding_does_not_count(void **state)
{
    auto_fini(mix_fini) struct mix one = {0}, other = {0};
    for (uint64_t i = 0; i < 5; i++) {
        struct demand up = of_units(10 + i), down = of_units(14 - i);
        mix_add(&one, &up, 1);
        mix_add(&other, &down, 1);
    }
    mix_finish(&one, 0.7, 0);
    mix_finish(&other, 0.7, 0);
    assert_int_equal(one.count, 4);
    assert_int_equal(other.count, 4);
    for (size_t i = 0; i < one.count; i++)
        assert_int_equal(one.kinds[i].demand.units, other.kinds[i].demand.units);
}

static void test_prior_is_per_class(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    inventory_add_node(&inventory, &(struct inventory_node){.class_bit = 4});
    inventory_add_device(&inventory, (struct inventory_device){.total = 80, .free = 0});
    mix_add_prior(&mix, &inventory);
    mix_finish(&mix, 1, 0);
    assert_int_equal(mix.count, 7);
    double sum = 0;
    for (size_t i = 0; i < mix.count; i++) {
        assert_int_equal(mix.kinds[i].demand.class_set, 4);
        assert_true(mix.kinds[i].demand.units >= 10 && mix.kinds[i].demand.units <= 80);
        sum += mix.kinds[i].weight;
    }
    assert_near(sum, 1);
}

static void test_empty_stays_empty(void **state)
{
    auto_fini(mix_fini) struct mix mix = {0};
    mix_finish(&mix, MIX_COVERAGE, MIX_COVERAGE);
    assert_int_equal(mix.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most_frequent_are_kept),
        cmocka_unit_test(test_large_ones_are_kept_too),
        cmocka_unit_test(test_order_of_adding_does_not_count),
        cmocka_unit_test(test_prior_is_per_class),
        cmocka_unit_test(test_empty_stays_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
