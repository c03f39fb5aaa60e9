/* SPDX-License-Identifier: Apache-2.0 */
/* Estimates learn from what instances took. */
#include "control/learning.h"
#include "placing_fixture.h"

static struct learning *learning;

/* A model for llama.cpp, placed on one device, that runs. */
static struct model_instance *run_one(const char *backend)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, add_known("m1", 1, NULL));
    mem_replace(&copy.backend, backend);
    cluster_put(&cluster, KIND_MODEL, &copy, 1);
    assert_false(settle());
    run_all();
    return instance_at(0);
}

static uint64_t claimed(const struct model_instance *instance)
{
    struct resource_claim claim = {0};
    assert_int_equal(claim_read(str_of(instance->computed_resource_claim), &claim, NULL), 0);
    assert_int_equal(claim.device_count, 1);
    uint64_t bytes = claim.devices[0].bytes;
    claim_fini(&claim);
    return bytes;
}

/* Its worker has measured so much of its device. */
static void measure(const struct model_instance *instance, uint64_t bytes)
{
    struct model_instance copy = {0};
    struct resource_claim claim = {.ram_bytes = GIB};
    record_copy(&model_instance_type, &copy, instance);
    claim_add_device(&claim, copy.gpu_indexes.items[0], bytes);
    free(copy.measured_claim);
    copy.measured_claim = claim_text(&claim);
    claim_fini(&claim);
    learning_note(learning, cluster_put(&cluster, KIND_INSTANCE, &copy, 3));
}

static void test_what_was_taken_is_expected_next_time(void **state)
{
    add_node("a", "r1");
    const struct model_instance *one = run_one("llama.cpp");
    const uint64_t before = claimed(one);
    measure(one, before + GIB);
    assert_int_equal(learning_settle(learning, &cluster, &env), 1);
    assert_int_equal(learning_settle(learning, &cluster, &env), 0); /* nothing new */
    measure(one, before + GIB);
    assert_int_equal(learning_settle(learning, &cluster, &env), 0); /* the same again */
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_find(&cluster, KIND_MODEL, one->model_id));
    copy.replicas = 2;
    cluster_put(&cluster, KIND_MODEL, &copy, 4);
    assert_false(settle());
    assert_int_equal(claimed(instance_at(1)), before + GIB);
}

static void test_engines_that_fill_what_they_get_teach_nothing(void **state)
{
    add_node("a", "r1");
    const struct model_instance *one = run_one("vllm");
    measure(one, claimed(one) + GIB);
    assert_int_equal(learning_settle(learning, &cluster, &env), 0);
    assert_int_equal(learning_corrections(learning)->count, 0);
}

static void test_what_is_not_known_yet_is_learnt_later(void **state)
{
    add_node("a", "r1");
    const struct model_instance *one = run_one("llama.cpp");
    measure(one, claimed(one) + GIB);
    known_to_all = KNOWN_SOON;
    assert_int_equal(learning_settle(learning, &cluster, &env), 0);
    known_to_all = KNOWN_SHAPE;
    assert_int_equal(learning_settle(learning, &cluster, &env), 1);
}

static int set_up_learning(void **state)
{
    set_up_placing(state);
    needs_free(env.needs);
    learning = learning_new();
    env.needs = needs_new(learning_corrections(learning));
    return 0;
}

static int tear_down_learning(void **state)
{
    int rc = tear_down_placing(state);
    learning_free(learning);
    return rc;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_learning, tear_down_learning)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_taken_is_expected_next_time),
        TEST(test_engines_that_fill_what_they_get_teach_nothing),
        TEST(test_what_is_not_known_yet_is_learnt_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
