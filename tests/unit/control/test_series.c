/* SPDX-License-Identifier: Apache-2.0 */
/* Time series: what is put is read again, gaps, means, wrapping, the budget, copies and files. */
#include "control/series.h"
#include "control/series_save.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)
#define BEGIN_MS (INT64_C(1764547200000)) /* 2025-12-01 00:00 */

static const struct series_key device = {SERIES_DEVICE, 3, 1};
static const struct series_key cluster = {SERIES_CLUSTER, 0, 0};
static const struct series_key model = {SERIES_MODEL, 7, 0};

static int set_up(void **state)
{
    *state = series_new(SERIES_BUDGET_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    series_free(*state);
    return 0;
}

static bool put(struct series *series, enum series_level level, const struct series_key *key,
                int64_t at_ms, enum series_metric metric, float value)
{
    float values[SERIES_METRICS];
    for (int i = 0; i < SERIES_METRICS; i++)
        values[i] = NAN;
    values[metric] = value;
    return series_put(series, level, key, at_ms, values);
}

static float read_one(const struct series *series, const struct series_key *key,
                      enum series_metric metric, int64_t at_ms, int64_t step_s)
{
    const struct series_range range = {.start_s = at_ms / 1000, .step_s = step_s, .count = 1};
    float value;
    series_read(series, key, metric, &range, &value);
    return value;
}

static void assert_near(float value, double expected)
{
    if (isnan(value) || fabs((double)value - expected) > expected / 1000)
        fail_msg("%g is not %g", (double)value, expected);
}

static void values_are_kept_to_one_part_in_two_thousand(void **state)
{
    static const double values[] = {0.001, 0.1, 1, 3.3, 50, 99.9, 64e9, 7e12};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        double kept = (double)series_unpack(series_pack((float)values[i]));
        assert_true(fabs(kept - values[i]) <= values[i] / 2000);
    }
    assert_true(series_unpack(series_pack(0)) == 0);
    assert_true(series_unpack(series_pack(1e-9F)) == 0);
    assert_true(isnan(series_unpack(series_pack(NAN))));
    assert_true(isnan(series_unpack(series_pack(-1))));
    assert_true(series_unpack(series_pack(INFINITY)) > 8e12F);
}

static void every_packed_value_comes_back(void **state)
{
    for (unsigned packed = 1024; packed < 63U << 10; packed++)
        assert_int_equal(series_pack(series_unpack((uint16_t)packed)), packed);
}

static void what_nobody_reported_is_no_zero(void **state)
{
    struct series *series = *state;
    assert_true(put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_UTILIZATION, 42));
    assert_true(put(series, SERIES_FINE, &device, BEGIN_MS + 20000, SERIES_UTILIZATION, 0));
    assert_near(read_one(series, &device, SERIES_UTILIZATION, BEGIN_MS, 10), 42);
    assert_true(isnan(read_one(series, &device, SERIES_UTILIZATION, BEGIN_MS + 10000, 10)));
    assert_true(read_one(series, &device, SERIES_UTILIZATION, BEGIN_MS + 20000, 10) == 0);
    assert_true(isnan(read_one(series, &device, SERIES_POWER, BEGIN_MS, 10)));
    assert_true(isnan(read_one(series, &device, SERIES_CPU, BEGIN_MS, 10)));
    assert_true(isnan(read_one(series, &cluster, SERIES_CPU, BEGIN_MS, 10)));
}

static void coarser_points_are_means_of_what_is_known(void **state)
{
    struct series *series = *state;
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 100);
    put(series, SERIES_FINE, &device, BEGIN_MS + 10000, SERIES_POWER, 200);
    assert_near(read_one(series, &device, SERIES_POWER, BEGIN_MS, 30), 150);
    for (int i = 0; i < 5; i++)
        put(series, SERIES_MINUTE, &device, BEGIN_MS + 60000 * i, SERIES_POWER, (float)(10 * i));
    assert_near(read_one(series, &device, SERIES_POWER, BEGIN_MS, 300), 20);
}

static void minutes_are_means_of_their_steps(void **state)
{
    struct series *series = *state;
    float means[SERIES_METRICS];
    put(series, SERIES_FINE, &model, BEGIN_MS + 20000, SERIES_REQUESTS, 6);
    series_minute_means(series, &model, BEGIN_MS + 50000, 0, means);
    assert_near(means[SERIES_REQUESTS], 6);
    series_minute_means(series, &model, BEGIN_MS + 50000, 6, means);
    assert_near(means[SERIES_REQUESTS], 1);
    series_minute_means(series, &model, BEGIN_MS + 60000, 6, means);
    assert_true(isnan(means[SERIES_REQUESTS]));
}

static void an_idle_model_reads_as_zero_where_gateways_were_heard(void **state)
{
    struct series *series = *state;
    put(series, SERIES_FINE, &cluster, BEGIN_MS, SERIES_REQUESTS, 5);
    assert_true(read_one(series, &model, SERIES_TOKENS_OUT, BEGIN_MS, 10) == 0);
    assert_true(isnan(read_one(series, &model, SERIES_TTFT_P50, BEGIN_MS, 10)));
    assert_true(isnan(read_one(series, &model, SERIES_TOKENS_OUT, BEGIN_MS + 10000, 10)));
}

static void the_ring_overwrites_what_is_too_old(void **state)
{
    struct series *series = *state;
    const int64_t later_ms = BEGIN_MS + SERIES_FINE_BLOCKS * HOUR_MS;
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 1);
    size_t bytes = series_bytes(series);
    put(series, SERIES_FINE, &device, later_ms, SERIES_POWER, 2);
    assert_int_equal(series_bytes(series), bytes);
    assert_true(isnan(read_one(series, &device, SERIES_POWER, BEGIN_MS, 10)));
    assert_near(read_one(series, &device, SERIES_POWER, later_ms, 10), 2);
}

static void old_blocks_expire_and_entities_without_any_go(void **state)
{
    struct series *series = *state;
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 1);
    series_expire(series, BEGIN_MS + 6 * HOUR_MS);
    assert_near(read_one(series, &device, SERIES_POWER, BEGIN_MS, 10), 1);
    series_expire(series, BEGIN_MS + 7 * HOUR_MS);
    assert_true(isnan(read_one(series, &device, SERIES_POWER, BEGIN_MS, 10)));
    assert_int_equal(series_bytes(series), 0);
}

/* A clock that was wrong and is set right: what lies ahead goes, and putting goes on. */
static void a_clock_may_jump_back(void **state)
{
    struct series *series = *state;
    put(series, SERIES_FINE, &device, BEGIN_MS + 500 * HOUR_MS, SERIES_POWER, 1);
    assert_false(put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 2));
    series_expire(series, BEGIN_MS);
    assert_true(put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 2));
    assert_near(read_one(series, &device, SERIES_POWER, BEGIN_MS, 10), 2);
    assert_true(isnan(read_one(series, &device, SERIES_POWER, BEGIN_MS + 500 * HOUR_MS, 10)));
}

/* ---- the budget ---- */

enum { DEVICES = 100 };

static size_t put_all(struct series *series, enum series_level level, int64_t at_ms)
{
    size_t kept = 0;
    for (int64_t i = 0; i < DEVICES; i++) {
        const struct series_key key = {SERIES_DEVICE, 1, i};
        kept += put(series, level, &key, at_ms, SERIES_POWER, 5);
    }
    return kept;
}

static void beyond_the_budget_all_lose_their_oldest_minutes(void **state)
{
    const size_t budget = (size_t)DEVICES * 20 * 3000;
    struct series *series = series_new(budget);
    int64_t at_ms = BEGIN_MS;
    for (int i = 0; i < 40; i++, at_ms += 6 * HOUR_MS) {
        assert_int_equal(put_all(series, SERIES_MINUTE, at_ms), DEVICES);
        assert_true(series_bytes(series) <= budget);
    }
    const struct series_key last = {SERIES_DEVICE, 1, DEVICES - 1};
    assert_true(series_kept_blocks(series, SERIES_MINUTE) < 22);
    assert_int_equal(series_kept_blocks(series, SERIES_FINE), SERIES_FINE_BLOCKS);
    assert_true(isnan(read_one(series, &last, SERIES_POWER, BEGIN_MS, 60)));
    for (int i = 1; i <= 15; i++)
        assert_near(read_one(series, &last, SERIES_POWER, at_ms - i * 6 * HOUR_MS, 60), 5);
    series_free(series);
}

static void a_budget_for_nothing_more_refuses(void **state)
{
    struct series *series = series_new((size_t)DEVICES / 2 * 3500);
    size_t kept = put_all(series, SERIES_FINE, BEGIN_MS);
    assert_in_range(kept, DEVICES / 3, DEVICES - 1);
    assert_int_equal(series_kept_blocks(series, SERIES_FINE), SERIES_FINE_KEPT);
    series_expire(series, BEGIN_MS + 24 * HOUR_MS);
    series_expire(series, BEGIN_MS + 24 * HOUR_MS);
    assert_int_equal(series_bytes(series), 0);
    assert_true(series_kept_blocks(series, SERIES_FINE) > SERIES_FINE_KEPT);
    series_free(series);
}

/* ---- copies and files ---- */

static void a_copy_stays_as_it_was(void **state)
{
    struct series *series = *state;
    struct series_copy copy;
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_UTILIZATION, 10);
    series_copy(series, &copy);
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_UTILIZATION, 20);
    assert_int_equal(copy.count, 1);
    assert_near(series_unpack(copy.items[0].block->values[0]), 10);
    assert_near(read_one(series, &device, SERIES_UTILIZATION, BEGIN_MS, 10), 20);
    series_expire(series, BEGIN_MS + 24 * HOUR_MS);
    series_copy_fini(&copy);
}

static void write_file(struct series *series, struct buf *out)
{
    struct series_copy copy;
    series_copy(series, &copy);
    series_write_file(&copy, out);
    series_copy_fini(&copy);
}

static void what_is_saved_is_loaded(void **state)
{
    struct series *series = *state, *again = series_new(SERIES_BUDGET_BYTES);
    struct buf bytes = {0};
    put(series, SERIES_FINE, &device, BEGIN_MS + 10000, SERIES_MEMORY_USED, 64e9F);
    put(series, SERIES_MINUTE, &model, BEGIN_MS, SERIES_TTFT_P95, 350);
    put(series, SERIES_MINUTE, &cluster, BEGIN_MS - 48 * HOUR_MS, SERIES_CPU, 12);
    write_file(series, &bytes);
    assert_int_equal(series_read_file(again, buf_str(&bytes), NULL), 0);
    assert_near(read_one(again, &device, SERIES_MEMORY_USED, BEGIN_MS + 10000, 10), 64e9);
    assert_true(isnan(read_one(again, &device, SERIES_MEMORY_USED, BEGIN_MS, 10)));
    assert_near(read_one(again, &model, SERIES_TTFT_P95, BEGIN_MS, 60), 350);
    assert_near(read_one(again, &cluster, SERIES_CPU, BEGIN_MS - 48 * HOUR_MS, 60), 12);
    assert_int_equal(series_bytes(again), series_bytes(series));
    series_free(again);
    buf_fini(&bytes);
}

/* Cut off anywhere, or with any one byte another: nothing of it is taken. */
static void a_damaged_file_is_refused(void **state)
{
    struct series *series = *state;
    struct buf bytes = {0};
    put(series, SERIES_FINE, &device, BEGIN_MS, SERIES_POWER, 1);
    write_file(series, &bytes);
    for (size_t i = 0; i < bytes.len; i += 7) {
        struct series *again = series_new(SERIES_BUDGET_BYTES);
        struct err err = {0};
        assert_true(series_read_file(again, str_sub(bytes.ptr, i), &err) < 0);
        bytes.ptr[i] ^= 1;
        assert_true(series_read_file(again, buf_str(&bytes), &err) < 0);
        bytes.ptr[i] ^= 1;
        assert_int_equal(series_bytes(again), 0);
        series_free(again);
    }
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_kept_to_one_part_in_two_thousand),
        cmocka_unit_test(every_packed_value_comes_back),
        cmocka_unit_test_setup_teardown(what_nobody_reported_is_no_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(coarser_points_are_means_of_what_is_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(minutes_are_means_of_their_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_model_reads_as_zero_where_gateways_were_heard,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_ring_overwrites_what_is_too_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_blocks_expire_and_entities_without_any_go, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_clock_may_jump_back, set_up, tear_down),
        cmocka_unit_test(beyond_the_budget_all_lose_their_oldest_minutes),
        cmocka_unit_test(a_budget_for_nothing_more_refuses),
        cmocka_unit_test_setup_teardown(a_copy_stays_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_saved_is_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
