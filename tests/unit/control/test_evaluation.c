/* SPDX-License-Identifier: Apache-2.0 */
/* What would become of models that aren't deployed, and how long it takes to say so. */
#include "placing_fixture.h"

#include "control/evaluation.h"

#include <time.h>

static struct placing placing;
static unsigned replicas_left;

static json_t *evaluate(const struct model *model)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_t *answer = NULL;
    json_begin_object(&w);
    evaluation_write(&placing, model, &replicas_left, &w);
    json_end_object(&w);
    assert_int_equal(json_read(buf_str(&text), &answer, NULL), 0);
    buf_fini(&text);
    return answer;
}

static void begin(void)
{
    placing = (struct placing){.cluster = &cluster, .env = &env};
    replicas_left = EVALUATION_REPLICAS_MAX;
}

/* A copy of the model as a spec: without an id. */
static void spec_of(const struct model *model, struct model *ret)
{
    *ret = (struct model){0};
    record_copy(&model_type, ret, model);
    ret->id = 0;
}

static const json_t *placement_of(const json_t *answer)
{
    return json_object_get(answer, "placement");
}

static void test_replicas_are_placed_in_what_is_left(void **state)
{
    struct model spec;
    add_node("n1", "a");
    spec_of(add_known("l1", 0, NULL), &spec);
    begin();
    for (int64_t replicas = 1; replicas <= 3; replicas++) {
        spec.replicas = replicas;
        auto_fini(json_release) json_t *answer = evaluate(&spec);
        const json_t *told = json_object_get(answer, "replicas");
        assert_int_equal(json_member_int(told, "wanted", 0), replicas);
        assert_int_equal(json_member_int(told, "tried", 0), replicas);
        assert_int_equal(json_member_int(told, "placed", 0), replicas < 2 ? replicas : 2);
        assert_int_equal(json_array_size(json_object_get(answer, "placements")),
                         replicas < 2 ? replicas : 2);
        assert_int_equal(json_member_int(placement_of(answer), "tensor_parallel", 0), 4);
    }
    replicas_left = 1;
    spec.replicas = 1000;
    auto_fini(json_release) json_t *answer = evaluate(&spec);
    assert_int_equal(json_member_int(json_object_get(answer, "replicas"), "tried", 0), 2);
    assert_int_equal(replicas_left, 0);
    /* Nothing of it stays. */
    assert_int_equal(placing.view.workers[0].instance_count, 0);
    assert_int_equal(placing.view.workers[0].devices[0].claimed_bytes, 0);
    placing_fini(&placing);
    record_fini(&model_type, &spec);
}

static void test_a_refusal_with_numbers_and_a_way_out_that_is_true(void **state)
{
    struct model spec;
    add_node("n1", "a");
    spec_of(add_known("l1", 0, "--tensor-parallel-size=2"), &spec);
    string_list_add(&spec.backend_parameters, "--pipeline-parallel-size=1");
    begin();
    auto_fini(json_release) json_t *answer = evaluate(&spec);
    assert_false(json_is_true(json_object_get(answer, "compatible")));
    const json_t *reason = json_object_get(answer, "reason");
    assert_string_equal(json_member_string(reason, "code"), "no_worker_fits");
    const json_t *device = json_array_get(json_object_get(reason, "devices"), 0);
    assert_string_equal(json_member_string(device, "code"), "memory_short");
    assert_int_equal(json_member_int(device, "free", 0), 31 * GIB);
    assert_true(json_member_int(device, "needs", 0) > (int64_t)(31 * GIB));
    const json_t *way = json_array_get(json_object_get(answer, "ways_out"), 0);
    assert_string_equal(json_member_string(way, "code"), "tensor_parallel");
    const json_t *change = json_object_get(way, "change");
    const json_t *parameters = json_object_get(change, "backend_parameters");
    assert_int_equal(json_object_size(change), 1);
    assert_int_equal(json_array_size(parameters), 3);
    assert_string_equal(json_string_value(json_array_get(parameters, 2)),
                        "--tensor-parallel-size=4");
    string_list_add(&spec.backend_parameters, "--tensor-parallel-size=4");
    auto_fini(json_release) json_t *better = evaluate(&spec);
    assert_true(json_is_true(json_object_get(better, "compatible")));
    placing_fini(&placing);
    record_fini(&model_type, &spec);
}

/* What the bytes are for, device by device, adds up to what is claimed. */
static void test_parts_add_up(void **state)
{
    struct model spec;
    add_node("n1", "a");
    spec_of(add_known("l1", 0, NULL), &spec);
    begin();
    auto_fini(json_release) json_t *answer = evaluate(&spec);
    const json_t *rank = json_array_get(json_object_get(placement_of(answer), "ranks"), 0);
    const json_t *parts = json_object_get(rank, "gpu_parts");
    assert_int_equal(json_array_size(parts), 4);
    for (size_t i = 0; i < 4; i++) {
        const json_t *one = json_array_get(parts, i), *value;
        const char *name;
        int64_t sum = 0;
        json_object_foreach((json_t *)(uintptr_t)one, name, value)
            sum += json_integer_value(value);
        assert_int_equal(sum, json_integer_value(
                                  json_array_get(json_object_get(rank, "gpu_bytes"), i)));
        assert_true(json_member_int(one, "weights", 0) > (int64_t)GIB);
        assert_true(json_member_int(one, "cache", 0) > 0);
        assert_int_equal(json_member_int(one, "learned", -1), 0);
    }
    placing_fini(&placing);
    record_fini(&model_type, &spec);
}

/* One that would have to stop is lifted, and put back exactly. */
static void test_stopping_another_is_only_tried(void **state)
{
    struct model spec;
    add_node("n1", "a");
    add_known("m1", 8, NULL);
    assert_false(settle());
    run_all();
    spec_of(add_known("l1", 0, NULL), &spec);
    begin();
    placing_look(&placing);
    const uint64_t claimed = placing.view.workers[0].devices[3].claimed_bytes;
    assert_true(claimed > 0);
    auto_fini(json_release) json_t *answer = evaluate(&spec);
    const json_t *ways = json_object_get(answer, "ways_out");
    const json_t *last = json_array_get(ways, json_array_size(ways) - 1);
    assert_string_equal(json_member_string(last, "code"), "stop_model");
    assert_int_equal(placing.view.workers[0].devices[3].claimed_bytes, claimed);
    assert_int_equal(placing.view.workers[0].instance_count, 8);
    placing_fini(&placing);
    record_fini(&model_type, &spec);
}

/* ---- time ---- */

enum { NODES = 1000, SPECS = 50 };

static void make_nodes(void)
{
    for (int i = 0; i < NODES; i++) {
        char name[16], rack[16];
        snprintf(name, sizeof name, "n%d", i);
        snprintf(rack, sizeof rack, "r%d", i / 16);
        add_node(name, rack);
    }
}

/* Of this process, whatever else the machine does. */
static int64_t cpu_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Milliseconds of an evaluation of each of the specs with one look at the workers. */
static void measure(const char *what, const struct model *model, bool fits)
{
    const int64_t before = cpu_us();
    begin();
    for (int i = 0; i < SPECS; i++) {
        struct model spec;
        spec_of(model, &spec);
        auto_free char *context = mem_printf("--max-model-len=%d", 4096 + 512 * i);
        string_list_add(&spec.backend_parameters, context);
        if (!fits) {
            string_list_add(&spec.backend_parameters, "--tensor-parallel-size=1");
            string_list_add(&spec.backend_parameters, "--pipeline-parallel-size=1");
        }
        auto_fini(json_release) json_t *answer = evaluate(&spec);
        assert_int_equal(json_is_true(json_object_get(answer, "compatible")), fits);
        record_fini(&model_type, &spec);
    }
    placing_fini(&placing);
    print_message("# %s: %.2f ms each, on %d workers with %d devices\n", what,
                  (double)(cpu_us() - before) / 1000 / SPECS, NODES, CARDS);
}

static void test_fifty_specs_on_a_thousand_workers(void **state)
{
    make_nodes();
    add_known("s1", 600, NULL);
    add_known("m1", 300, NULL);
    settle();
    run_all();
    const struct model *small = add_known("s2", 0, NULL), *large = add_known("l1", 0, NULL);
    measure("0.6B that fits", small, true);
    measure("32B that fits", large, true);
    measure("32B that doesn't", large, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replicas_are_placed_in_what_is_left, set_up_placing,
                                        tear_down_placing),
        cmocka_unit_test_setup_teardown(test_a_refusal_with_numbers_and_a_way_out_that_is_true,
                                        set_up_placing, tear_down_placing),
        cmocka_unit_test_setup_teardown(test_parts_add_up, set_up_placing, tear_down_placing),
        cmocka_unit_test_setup_teardown(test_stopping_another_is_only_tried, set_up_placing,
                                        tear_down_placing),
        cmocka_unit_test_setup_teardown(test_fifty_specs_on_a_thousand_workers, set_up_placing,
                                        tear_down_placing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
