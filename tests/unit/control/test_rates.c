/* SPDX-License-Identifier: Apache-2.0 */
/* What gateways tell of requests: rates, several gateways, restarts, silence, percentiles. */
#include "control/rates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct rates *rates;

static int set_up(void **state)
{
    rates = rates_new(0);
    return 0;
}

static int tear_down(void **state)
{
    rates_free(rates);
    return 0;
}

/* Of model 5; `first_token` requests began within 10 to 20 ms. */
struct told {
    const char *gateway;
    int64_t age_ms;
    bool is_complete;
    int64_t requests, tokens_out, running, first_token;
};

static int take(struct told told, int64_t now_ms)
{
    auto_fini(json_release) json_t *post = json_pack(
        "{s:s,s:I,s:b,s:[{s:i,s:I,s:i,s:i,s:I,s:I,s:i,"
        "s:[i,i,i,I,i,i,i,i,i,i,i,i,i,i,i,i,i,i,i,i]}]}",
        "gateway", told.gateway, "age_ms", (json_int_t)told.age_ms, "is_complete",
        told.is_complete, "models", "model_id", 5, "requests", (json_int_t)told.requests, "errors",
        0, "tokens_in", 0, "tokens_out", (json_int_t)told.tokens_out, "running",
        (json_int_t)told.running, "waiting", 0, "first_token", 0, 0, 0,
        (json_int_t)told.first_token, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    assert_non_null(post);
    return rates_take(rates, post, now_ms, NULL);
}

static void take_nothing(const char *gateway, int64_t age_ms, int64_t now_ms)
{
    auto_fini(json_release) json_t *post = json_pack("{s:s,s:I,s:b,s:[]}", "gateway", gateway,
                                                     "age_ms", (json_int_t)age_ms, "is_complete",
                                                     0, "models");
    assert_int_equal(rates_take(rates, post, now_ms, NULL), 0);
}

static struct rates_figures live(int64_t model_id)
{
    struct rates_figures figures;
    rates_read(rates, model_id, &figures);
    return figures;
}

static void assert_near(double value, double expected)
{
    if (isnan(value) || fabs(value - expected) > 1e-6)
        fail_msg("%g is not %g", value, expected);
}

static void rates_are_over_the_last_posts_and_end_with_what_they_count(void **state)
{
    take((struct told){"a", 2000, true, 0, 0, 1, 0}, 0);
    take((struct told){"a", 4000, false, 0, 100, 1, 0}, 2000);
    assert_near(live(5).counts[RATES_TOKENS_OUT], 50);
    assert_near(live(5).gauges[RATES_RUNNING], 1);
    take((struct told){"a", 6000, false, 1, 200, 0, 0}, 4000);
    assert_near(live(5).counts[RATES_TOKENS_OUT], 50);
    assert_near(live(5).counts[RATES_REQUESTS], 0.25);
    assert_near(live(5).gauges[RATES_RUNNING], 0);
    for (int i = 0; i < RATES_POSTS; i++)
        take_nothing("a", 8000 + 2000 * i, 6000 + 2000 * i);
    assert_near(live(5).counts[RATES_TOKENS_OUT], 0);
    assert_near(live(0).counts[RATES_TOKENS_OUT], 0);
}

static void gateways_add_up(void **state)
{
    take((struct told){"a", 1000, true, 0, 0, 2, 0}, 0);
    take((struct told){"b", 90000, true, 500, 7000, 3, 0}, 0);
    take((struct told){"a", 3000, false, 0, 20, 2, 0}, 2000);
    take((struct told){"b", 92000, false, 502, 7040, 3, 0}, 2000);
    assert_near(live(5).counts[RATES_TOKENS_OUT], 30);
    assert_near(live(0).counts[RATES_TOKENS_OUT], 30);
    assert_near(live(0).gauges[RATES_RUNNING], 5);
    assert_near(live(6).counts[RATES_TOKENS_OUT], 0);
}

/* What an old gateway counted before control heard of it happened at another time. */
static void only_what_is_new_counts(void **state)
{
    struct rates_figures step;
    take((struct told){"old", 600000, true, 1000, 90000, 0, 50}, 0);
    take((struct told){"young", 3000, true, 10, 100, 0, 0}, 0);
    rates_end_step(rates, 10000);
    assert_true(rates_step(rates, 5, &step));
    assert_near(step.counts[RATES_REQUESTS], 1);
    assert_near(step.counts[RATES_TOKENS_OUT], 10);
    assert_true(isnan(step.ttft_p50_ms));
}

static void a_gateway_that_starts_again_is_another_one(void **state)
{
    struct rates_figures step;
    take((struct told){"first life", 600000, true, 1000, 0, 4, 0}, 0);
    take((struct told){"second life", 2000, true, 3, 0, 0, 0}, 1000);
    rates_end_step(rates, 10000);
    assert_true(rates_step(rates, 5, &step));
    assert_near(step.counts[RATES_REQUESTS], 0.3);
}

static void who_is_not_known_must_tell_all(void **state)
{
    assert_int_equal(take((struct told){"a", 600000, false, 1, 1, 1, 0}, 0), ERR_CONFLICT);
    assert_false(rates_is_heard(rates));
    assert_int_equal(take((struct told){"a", 600000, true, 1, 1, 1, 0}, 0), 0);
    assert_int_equal(take((struct told){"a", 602000, false, 1, 1, 1, 0}, 0), 0);
}

static void the_silent_are_forgotten(void **state)
{
    take((struct told){"a", 0, true, 0, 0, 9, 0}, 0);
    rates_tick(rates, RATES_SILENCE_MS);
    assert_true(rates_is_heard(rates));
    rates_tick(rates, RATES_SILENCE_MS + 1);
    assert_false(rates_is_heard(rates));
    assert_near(live(5).gauges[RATES_RUNNING], 0);
}

static void gauges_of_a_step_are_means_over_its_ticks(void **state)
{
    struct rates_figures step;
    take((struct told){"a", 0, true, 0, 0, 4, 0}, 0);
    rates_tick(rates, 0);
    take((struct told){"a", 2000, false, 0, 0, 0, 0}, 2000);
    rates_tick(rates, 2000);
    rates_end_step(rates, 10000);
    assert_true(rates_step(rates, 5, &step));
    assert_near(step.gauges[RATES_RUNNING], 2);
    rates_tick(rates, 2000);
    rates_end_step(rates, 20000);
    assert_false(rates_step(rates, 5, &step));
    assert_near(step.gauges[RATES_RUNNING], 0);
}

static void percentiles_come_out_of_summed_histograms(void **state)
{
    struct rates_figures step;
    take((struct told){"a", 0, true, 0, 0, 0, 10}, 0);
    assert_near(live(5).ttft_p50_ms, 15);
    assert_near(live(5).ttft_p95_ms, 19.5);
    rates_end_step(rates, 10000);
    assert_true(rates_step(rates, 5, &step));
    assert_near(step.ttft_p50_ms, 15);
    for (int i = 1; i < RATES_STEPS; i++)
        rates_end_step(rates, 10000 * (i + 1));
    assert_false(rates_step(rates, 5, &step));
    assert_true(isnan(step.ttft_p50_ms));
    rates_percentiles(rates, 5, RATES_STEPS, &step);
    assert_near(step.ttft_p50_ms, 15);
    rates_percentiles(rates, 0, RATES_STEPS, &step);
    assert_near(step.ttft_p50_ms, 15);
    rates_end_step(rates, 70000);
    rates_percentiles(rates, 5, RATES_STEPS, &step);
    assert_true(isnan(step.ttft_p50_ms));
}

static void drop(int64_t model_id, void *ctx)
{
    int *count = ctx;
    ++*count;
    rates_drop(rates, model_id);
}

static void steps_are_as_long_as_they_are(void **state)
{
    struct rates_figures step;
    take((struct told){"a", 0, true, 0, 0, 0, 0}, 0);
    take((struct told){"a", 2000, false, 4, 0, 0, 0}, 2000);
    rates_end_step(rates, 4000); /* control began in the middle of it */
    assert_true(rates_step(rates, 5, &step));
    assert_near(step.counts[RATES_REQUESTS], 1);
    rates_end_step(rates, 4001);
    assert_false(rates_step(rates, 5, &step));
    assert_near(step.counts[RATES_REQUESTS], 0);
}

static void models_that_are_gone_are_dropped(void **state)
{
    int count = 0;
    take((struct told){"a", 0, true, 1, 0, 0, 0}, 0);
    rates_each(rates, drop, &count);
    rates_each(rates, drop, &count);
    assert_int_equal(count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rates_are_over_the_last_posts_and_end_with_what_they_count),
        TEST(gateways_add_up),
        TEST(only_what_is_new_counts),
        TEST(a_gateway_that_starts_again_is_another_one),
        TEST(who_is_not_known_must_tell_all),
        TEST(the_silent_are_forgotten),
        TEST(gauges_of_a_step_are_means_over_its_ticks),
        TEST(percentiles_come_out_of_summed_histograms),
        TEST(steps_are_as_long_as_they_are),
        TEST(models_that_are_gone_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
