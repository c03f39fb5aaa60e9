/* SPDX-License-Identifier: Apache-2.0 */
/* Live counts of a shard: where requests count, tokens once, models beyond the limit together. */
#include "gateway/live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct live *live;

static int set_up(void **state)
{
    live = live_new();
    return 0;
}

static int tear_down(void **state)
{
    live_free(live);
    return 0;
}

static int64_t gauge(int64_t model_id, enum live_gauge gauge)
{
    return atomic_load(&live_model(live, model_id)->gauges[gauge]);
}

static uint64_t count(int64_t model_id, enum live_count count)
{
    return atomic_load(&live_model(live, model_id)->counts[count]);
}

static void a_request_counts_in_one_place(void **state)
{
    struct live_place place = {0};
    live_place_set(&place, live_model(live, 3), LIVE_WAITING);
    assert_int_equal(gauge(3, LIVE_WAITING), 1);
    live_place_set(&place, live_model(live, 3), LIVE_RUNNING);
    assert_int_equal(gauge(3, LIVE_WAITING), 0);
    assert_int_equal(gauge(3, LIVE_RUNNING), 1);
    live_place_set(&place, live_model(live, 4), LIVE_RUNNING);
    assert_int_equal(gauge(3, LIVE_RUNNING), 0);
    assert_int_equal(gauge(4, LIVE_RUNNING), 1);
    live_place_set(&place, NULL, LIVE_RUNNING);
    live_place_set(&place, NULL, LIVE_RUNNING);
    assert_int_equal(gauge(4, LIVE_RUNNING), 0);
}

static void tokens_count_once(void **state)
{
    struct live_model *model = live_model(live, 3);
    const struct usage_record record = {
        .outcome = OUTCOME_OK, .prompt_tokens = 7, .completion_tokens = 10};
    live_add(model, LIVE_TOKENS_OUT, 8);
    live_note_end(model, &record, 8);
    assert_int_equal(count(3, LIVE_TOKENS_OUT), 10);
    assert_int_equal(count(3, LIVE_TOKENS_IN), 7);
    live_add(model, LIVE_TOKENS_OUT, 12); /* more chunks than tokens: nothing is taken back */
    live_note_end(model, &record, 12);
    assert_int_equal(count(3, LIVE_TOKENS_OUT), 22);
    assert_int_equal(count(3, LIVE_REQUESTS), 2);
    assert_int_equal(count(3, LIVE_ERRORS), 0);
}

static void what_clients_do_is_no_error(void **state)
{
    struct live_model *model = live_model(live, 3);
    for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
        live_note_end(model, &(struct usage_record){.outcome = (enum outcome)outcome}, 0);
    assert_int_equal(count(3, LIVE_REQUESTS), OUTCOME_COUNT);
    assert_int_equal(count(3, LIVE_ERRORS), 4);
}

static void models_beyond_the_limit_share_a_place(void **state)
{
    for (int64_t id = 1; id <= LIVE_MODELS_MAX; id++)
        assert_int_equal(live_model(live, id)->model_id, id);
    assert_int_equal(live_model(live, LIVE_MODELS_MAX + 1)->model_id, 0);
    assert_int_equal(live_model(live, 17)->model_id, 17);
}

/* control/rates.c has the same bounds, in ms: who changes one changes both. */
static void control_knows_the_buckets(void **state)
{
    static const int64_t bounds_ms[] = {1,   5,   10,   20,   40,   60,   80,    100,   250,  500,
                                        750, 1000, 2500, 5000, 7500, 10000, 20000, 30000, 60000};
    assert_int_equal(histogram_first_token.count, sizeof bounds_ms / sizeof bounds_ms[0]);
    for (size_t i = 0; i < histogram_first_token.count; i++)
        assert_int_equal(histogram_first_token.bounds_us[i], 1000 * bounds_ms[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_counts_in_one_place),
        TEST(tokens_count_once),
        TEST(what_clients_do_is_no_error),
        TEST(models_beyond_the_limit_share_a_place),
        TEST(control_knows_the_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
