/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of moves: what they make room for, and that nothing is moved. */
#include "placing_fixture.h"

#include "control/defrag.h"

static json_t *plan(void)
{
    struct placing placing = {.cluster = &cluster, .env = &env};
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_t *ret = NULL;
    json_begin_object(&w);
    defrag_write(&placing, &w);
    json_end_object(&w);
    for (size_t i = 0; i < placing.view.count; i++) { /* as it would be when all were done */
        const struct place_worker *on = &placing.view.workers[i];
        for (size_t k = 0; k < on->device_count; k++)
            assert_true(on->devices[k].claimed_bytes <= 31 * GIB);
    }
    placing_fini(&placing);
    assert_int_equal(json_read(buf_str(&text), &ret, NULL), 0);
    buf_fini(&text);
    return ret;
}

static const json_t *move_at(const json_t *plan, size_t i)
{
    return json_array_get(json_object_get(plan, "moves"), i);
}

static size_t move_count(const json_t *plan)
{
    return json_array_size(json_object_get(plan, "moves"));
}

static const char *worker_of(const json_t *move, const char *end)
{
    return json_member_string(json_array_get(json_object_get(move, end), 0), "worker");
}

/* Two nodes with a small model's replica each, and a model that wants all cards of one. */
static void fill_and_wait(void)
{
    add_node("n1", "a");
    add_node("n2", "a");
    add_known("s1", 2, NULL);
    assert_false(settle());
    run_all();
    struct model *wide = add_known("x1", 1, "--tensor-parallel-size=8");
    struct model copy = {0};
    record_copy(&model_type, &copy, wide);
    copy.distributed_inference_across_workers = false;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    assert_true(settle());
}

static void test_one_move_lets_a_model_in(void **state)
{
    fill_and_wait();
    const size_t events = cluster.tables[KIND_EVENT].count;
    auto_fini(json_release) json_t *told = plan();
    assert_int_equal(move_count(told), 1);
    const json_t *move = move_at(told, 0);
    assert_string_equal(json_member_string(move, "model"), "s1");
    assert_string_equal(json_member_string(move, "enables"), "x1");
    assert_string_not_equal(worker_of(move, "from"), worker_of(move, "to"));
    assert_false(json_is_true(json_object_get(move, "would_interrupt")));
    assert_int_equal(json_member_int(move, "load_bytes", 0), shapes_by_letter['s'].file_bytes);
    const json_t *placed = json_object_get(told, "placed");
    assert_int_equal(json_array_size(placed), 1);
    assert_string_equal(json_string_value(json_array_get(placed, 0)), "x1");
    assert_true(json_is_true(json_object_get(told, "is_complete")));
    /* Nothing has happened, and asked again it is the same. */
    assert_int_equal(cluster.tables[KIND_EVENT].count, events);
    for (size_t i = 0; i < instance_count(); i++)
        assert_false(instance_at(i)->is_draining);
    auto_fini(json_release) json_t *again = plan();
    assert_true(json_equal(told, again));
}

/* The only replica that is ready can be moved, but that is told. */
static void test_a_move_that_would_interrupt(void **state)
{
    fill_and_wait();
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance_at(0));
    copy.state = INSTANCE_STARTING;
    cluster_put(&cluster, KIND_INSTANCE, &copy, 3);
    auto_fini(json_release) json_t *told = plan();
    assert_int_equal(move_count(told), 1);
    const json_t *move = move_at(told, 0);
    assert_int_equal(json_member_int(move, "instance_id", 0), instance_at(1)->id);
    assert_true(json_is_true(json_object_get(move, "would_interrupt")));
}

/* Where the replicas couldn't go anywhere no move is told. */
static void test_no_room_to_move_to(void **state)
{
    add_node("n1", "a");
    add_known("s1", 1, NULL);
    assert_false(settle());
    run_all();
    add_known("x1", 1, "--tensor-parallel-size=8");
    settle();
    auto_fini(json_release) json_t *told = plan();
    assert_int_equal(move_count(told), 0);
    assert_int_equal(json_array_size(json_object_get(told, "placed")), 0);
}

/* Several have to go before all cards of a node are free. */
static void test_several_moves(void **state)
{
    fill_and_wait();
    add_known("s2", 2, NULL);
    settle();
    run_all();
    auto_fini(json_release) json_t *told = plan();
    assert_true(move_count(told) >= 1);
    assert_int_equal(json_array_size(json_object_get(told, "placed")), 1);
    for (size_t i = 0; i < move_count(told); i++)
        assert_string_not_equal(worker_of(move_at(told, i), "from"),
                                worker_of(move_at(told, i), "to"));
}

static void put_apart(const char *name)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, add_known(name, 2, NULL));
    copy.placement_strategy = PLACEMENT_SPREAD;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

/* Four nodes are broken up by one replica each; on two of them there is room for all. */
static void test_tidying_up(void **state)
{
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        add_node(name, "a");
    }
    add_known("x1", 2, "--tensor-parallel-size=8");
    assert_false(settle());
    put_apart("s1");
    put_apart("s2");
    assert_false(settle());
    run_all();
    auto_fini(json_release) json_t *told = plan();
    assert_in_range(move_count(told), 1, 2);
    for (size_t i = 0; i < move_count(told); i++) {
        const json_t *move = move_at(told, i);
        assert_true(json_member_int(move, "gain_bytes", 0) >= DEFRAG_GAIN_MIN);
        assert_null(json_member_string(move, "enables"));
        assert_false(json_is_true(json_object_get(move, "would_interrupt")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_move_lets_a_model_in, set_up_placing,
                                        tear_down_placing),
        cmocka_unit_test_setup_teardown(test_a_move_that_would_interrupt, set_up_placing,
                                        tear_down_placing),
        cmocka_unit_test_setup_teardown(test_no_room_to_move_to, set_up_placing,
                                        tear_down_placing),
        cmocka_unit_test_setup_teardown(test_several_moves, set_up_placing, tear_down_placing),
        cmocka_unit_test_setup_teardown(test_tidying_up, set_up_placing, tear_down_placing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
