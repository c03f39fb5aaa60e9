/* SPDX-License-Identifier: Apache-2.0 */
/* Taking holdings out of a board and putting them back as they were. */
#include "place_cluster.h"

#include "sched/lift.h"

static struct place_view view;
static struct place_board *board;

static void hold_one(size_t worker, int device, int64_t instance, int64_t model, uint64_t bytes)
{
    place_hold(&view, worker, &(struct place_holding){.instance_id = instance,
                                                      .model_id = model,
                                                      .device = device,
                                                      .bytes = bytes,
                                                      .is_first = device == PLACE_HOST,
                                                      .is_whole = model == 9});
}

static int set_up(void **state)
{
    view = (struct place_view){0};
    for (size_t i = 0; i < 2; i++) {
        add_worker(&view, "w", 64 * GIB);
        add_devices(&view, 2, "L4", 24 * GIB);
    }
    for (int64_t i = 1; i <= 3; i++) {
        hold_one((size_t)i % 2, PLACE_HOST, i, i < 3 ? 5 : 6, GIB);
        hold_one((size_t)i % 2, 0, i, i < 3 ? 5 : 6, (uint64_t)i * GIB);
    }
    hold_one(1, PLACE_HOST, 4, 9, GIB);
    hold_one(1, 1, 4, 9, 24 * GIB);
    board = place_board_new(&view, NULL);
    return 0;
}

static int tear_down(void **state)
{
    place_board_free(board);
    place_view_fini(&view);
    return 0;
}

/* All that placement goes by, as text. */
static char *state_of(void)
{
    struct buf text = {0};
    for (size_t i = 0; i < view.count; i++) {
        const struct place_worker *on = &view.workers[i];
        buf_printf(&text, "%zu: %u %llu", i, on->instance_count,
                   (unsigned long long)on->ram_claimed_bytes);
        for (size_t k = 0; k < on->device_count; k++)
            buf_printf(&text, " [%llu %u %d]", (unsigned long long)on->devices[k].claimed_bytes,
                       on->devices[k].holders, on->devices[k].is_held_whole);
        for (size_t k = 0; k < on->holding_count; k++)
            buf_printf(&text, " %lld/%d", (long long)on->holdings[k].instance_id,
                       on->holdings[k].device);
        buf_add_char(&text, '\n');
    }
    return buf_take(&text);
}

static void test_a_model_is_lifted_and_put_back(void **state)
{
    struct place_lifted lifted = {0};
    auto_free char *before = state_of();
    place_lift_model(board, 5, &lifted);
    assert_int_equal(lifted.count, 4);
    assert_int_equal(view.workers[0].instance_count, 0);
    assert_int_equal(view.workers[0].devices[0].claimed_bytes, 0);
    assert_int_equal(view.workers[1].devices[0].claimed_bytes, 3 * GIB);
    assert_int_equal(view.workers[1].instance_count, 2);
    place_put_back(board, &lifted);
    auto_free char *after = state_of();
    assert_string_equal(before, after);
}

static void test_one_in_the_other(void **state)
{
    struct place_lifted one = {0}, other = {0};
    auto_free char *before = state_of();
    place_lift_instance(board, 4, &one);
    assert_false(view.workers[1].devices[1].is_held_whole);
    assert_true(place_device_free(&view.workers[1], &view.workers[1].devices[1]) > 20 * GIB);
    place_lift_model(board, 5, &other);
    place_put_back(board, &other);
    place_put_back(board, &one);
    auto_free char *after = state_of();
    assert_string_equal(before, after);
    assert_true(view.workers[1].devices[1].is_held_whole);
}

/* What gives its place back gains as much as it would lose by taking it. */
static void test_losses(void **state)
{
    struct asked *asked = asked_new(7);
    struct place_result result = {0};
    want(asked, 0, profile_of(1, 1, 20 * GIB));
    asked->request.instance_id = -1;
    assert_int_equal(place(board, &asked->request, &result), 0);
    const double loss = place_result_loss(board, &result);
    struct place_lifted lifted = {0};
    place_take(board, &asked->request, &result);
    place_lift_instance(board, -1, &lifted);
    assert_true(loss != 0 && place_lifted_loss(board, &lifted) == loss);
    place_lifted_fini(&lifted);
    place_result_fini(&result);
    free(asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_model_is_lifted_and_put_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_in_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_losses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
