/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling, surge, drain, rolling updates, lost workers, maintenance, second failures. */
#include "cluster_fixture.h"

#define RAM(bytes) ",\"computed_resource_claim\":{\"ram\":" #bytes "}"

/* A model whose replicas all run, one worker each as far as there are. */
static struct model *running_model(int64_t replicas)
{
    struct model *model = add_model("m", replicas);
    settle();
    for (size_t i = 0; i < instance_count(); i++)
        assert_int_equal(report_state(instance_at(i)->worker_id, instance_at(i)->id, "running"), 0);
    settle();
    return model;
}

static void drained(int64_t id)
{
    assert_int_equal(
        report_more(instance_by_id(id)->worker_id, id, "initializing", ",\"drained\":true"), 0);
    settle();
}

static void runs(int64_t id)
{
    assert_int_equal(report_state(instance_by_id(id)->worker_id, id, "running"), 0);
    settle();
}

static void test_lowest_score_goes_first(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 3);
    settle();
    int64_t first = instance_at(0)->id, second = instance_at(1)->id, third = instance_at(2)->id;
    report_state(worker, first, "starting");
    report_state(worker, second, "error");
    report_state(worker, third, "running");
    set_replicas(model, 2);
    settle();
    assert_null(instance_by_id(second));
    set_replicas(model, 1);
    settle();
    assert_null(instance_by_id(first));
    assert_int_equal(model->ready_replicas, 1);
}

static void test_of_equals_the_crowded_place_is_left(void **state)
{
    add_worker("a", WORKER_READY);
    add_worker("b", WORKER_READY);
    struct model *model = running_model(3); /* a, b, a */
    set_replicas(model, 2);
    settle();
    assert_true(instance_at(2)->is_draining);
    assert_false(instance_at(0)->is_draining);
    assert_false(instance_at(1)->is_draining);
}

static void test_what_serves_drains_before_it_goes(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    int64_t second = instance_at(1)->id;
    set_replicas(model, 1);
    settle();
    assert_true(instance_by_id(second)->is_draining);
    assert_int_equal(instance_by_id(second)->state, INSTANCE_RUNNING);
    assert_int_equal(instance_by_id(second)->state_reason, REASON_SCALED_DOWN);
    assert_int_equal(model->ready_replicas, 1);
    assert_true(has_event(EVENT_DRAINS));
    drained(second);
    assert_null(instance_by_id(second));
    assert_int_equal(instance_count(), 1);
}

static void test_scaling_up_does_not_wait_for_a_drain(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(1);
    set_replicas(model, 0);
    settle();
    set_replicas(model, 1);
    settle();
    assert_int_equal(instance_count(), 2);
    assert_true(instance_at(0)->is_draining);
    assert_int_equal(instance_at(1)->state, INSTANCE_SCHEDULED);
}

static void test_new_settings_surge_where_there_is_room(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    int64_t first = instance_at(0)->id, second = instance_at(1)->id;
    set_generation(model, 2, NULL);
    settle();
    assert_int_equal(instance_count(), 3);
    int64_t fresh = instance_at(2)->id;
    assert_int_equal(instance_at(2)->replaces_id, first);
    assert_int_equal(instance_at(2)->model_generation, 2);
    assert_false(instance_by_id(first)->is_draining);
    runs(fresh);
    assert_true(instance_by_id(first)->is_draining);
    assert_int_equal(instance_by_id(first)->state_reason, REASON_REPLACED);
    assert_int_equal(instance_by_id(fresh)->replaces_id, 0);
    assert_int_equal(instance_count(), 3); /* no second surge while the first one drains */
    drained(first);
    assert_null(instance_by_id(first));
    assert_int_equal(instance_at(2)->replaces_id, second);
    runs(instance_at(2)->id);
    drained(second);
    assert_int_equal(instance_count(), 2);
    assert_int_equal(model->ready_replicas, 2);
}

static void test_a_bad_setting_costs_no_replica(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    set_generation(model, 2, NULL);
    settle();
    report_more(1, instance_at(2)->id, "error", ",\"failures\":1");
    settle();
    assert_int_equal(instance_count(), 3);
    assert_int_equal(model->ready_replicas, 2);
    set_generation(model, 1, NULL); /* the old settings again: the surge isn't needed */
    settle();
    assert_int_equal(instance_count(), 2);
    assert_int_equal(model->ready_replicas, 2);
}

/* One worker whose memory is full with two instances of 6 GiB. */
static struct model *full_model(void)
{
    int64_t worker = add_worker("a", WORKER_READY);
    set_memory(worker, 16LL << 30);
    struct model *model = add_model("m", 2);
    settle();
    for (size_t i = 0; i < 2; i++)
        report_more(worker, instance_at(i)->id, "running", RAM(7516192768));
    settle();
    return model;
}

static void test_without_room_one_drains_and_comes_back(void **state)
{
    struct model *model = full_model();
    int64_t first = instance_at(0)->id, second = instance_at(1)->id;
    set_generation(model, 2, NULL);
    settle();
    assert_int_equal(instance_count(), 2);
    assert_true(instance_by_id(first)->is_draining);
    assert_int_equal(instance_by_id(first)->model_generation, 1);
    assert_int_equal(model->ready_replicas, 1);
    drained(first);
    assert_false(instance_by_id(first)->is_draining);
    assert_int_equal(instance_by_id(first)->model_generation, 2);
    assert_int_equal(instance_by_id(first)->state, INSTANCE_SCHEDULED);
    assert_false(instance_by_id(second)->is_draining); /* the first must serve again */
    runs(first);
    assert_true(instance_by_id(second)->is_draining);
    drained(second);
    runs(second);
    assert_int_equal(model->ready_replicas, 2);
    assert_int_equal(instance_count(), 2);
}

static void test_an_update_never_takes_the_last_ready_one(void **state)
{
    struct model *model = full_model();
    report_more(1, instance_at(1)->id, "error", ",\"failures\":1" RAM(7516192768));
    settle();
    set_generation(model, 2, NULL);
    settle();
    assert_int_equal(instance_at(1)->model_generation, 2); /* it doesn't serve: at once */
    assert_false(instance_at(0)->is_draining);
    assert_int_equal(model->ready_replicas, 1);
    runs(instance_at(1)->id);
    assert_true(instance_at(0)->is_draining);
}

static void test_unreachable_instance_keeps_its_settings(void **state)
{
    struct model *model = full_model();
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, 1), 3);
    set_generation(model, 2, NULL);
    settle();
    assert_int_equal(instance_at(0)->state, INSTANCE_UNREACHABLE);
    assert_int_equal(instance_at(0)->state_reason, REASON_WORKER_LOST);
    assert_int_equal(instance_at(0)->model_generation, 1);
    assert_false(instance_at(0)->is_draining);
}

static void test_draining_ones_keep_their_reason(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    set_replicas(model, 1);
    settle();
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, 1), 3);
    runs(instance_at(1)->id);
    report_state(1, instance_at(1)->id, "error");
    assert_int_equal(instance_at(1)->state_reason, REASON_SCALED_DOWN);
}

static void test_lost_instances_move_one_at_a_time(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    add_worker("b", WORKER_READY);
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, a), 3);
    settle();
    assert_int_equal(instance_count(), 2); /* unknown isn't dead */
    int_list_add(&lost_workers, a);
    settle();
    assert_int_equal(instance_count(), 3);
    int64_t old = instance_at(0)->id, fresh = instance_at(2)->id;
    assert_int_equal(instance_at(2)->replaces_id, old);
    runs(fresh);
    assert_null(instance_by_id(old));
    assert_int_equal(instance_count(), 3); /* the next one */
    runs(instance_at(2)->id);
    assert_int_equal(instance_count(), 2);
    assert_int_equal(model->ready_replicas, 2);
}

static void test_a_worker_that_is_back_keeps_its_instances(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    running_model(1);
    add_worker("b", WORKER_READY);
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, a), 3);
    int_list_add(&lost_workers, a);
    settle();
    assert_int_equal(instance_count(), 2);
    int_list_fini(&lost_workers);
    report_state(a, instance_at(0)->id, "running");
    liveness_regain(&cluster, cluster_find(&cluster, KIND_WORKER, a), 4);
    settle();
    assert_int_equal(instance_count(), 1);
    assert_int_equal(instance_at(0)->worker_id, a);
}

static void test_lost_instances_wait_for_room(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    running_model(1);
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, a), 3);
    int_list_add(&lost_workers, a);
    settle();
    assert_int_equal(instance_count(), 1);
    assert_int_equal(instance_at(0)->state, INSTANCE_UNREACHABLE);
}

static void test_maintenance_takes_no_new_ones(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    set_maintenance(a, "{\"enabled\":true}");
    assert_int_equal(((struct worker *)cluster_find(&cluster, KIND_WORKER, a))->state,
                     WORKER_MAINTENANCE);
    add_model("m", 1);
    assert_true(settle());
    set_maintenance(a, NULL);
    assert_false(settle());
}

static void test_maintenance_alone_moves_nothing(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    running_model(1);
    add_worker("b", WORKER_READY);
    set_maintenance(a, "{\"enabled\":true,\"drain\":false}");
    settle();
    assert_int_equal(instance_count(), 1);
    assert_false(instance_at(0)->is_draining);
}

static void test_drained_worker_hands_over(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    running_model(1);
    int64_t b = add_worker("b", WORKER_READY);
    int64_t old = instance_at(0)->id;
    set_maintenance(a, "{\"enabled\":true,\"drain\":true}");
    settle();
    assert_int_equal(instance_count(), 2);
    assert_false(instance_by_id(old)->is_draining);
    assert_int_equal(instance_at(1)->worker_id, b);
    runs(instance_at(1)->id);
    assert_true(instance_by_id(old)->is_draining);
    drained(old);
    assert_int_equal(instance_count(), 1);
    assert_int_equal(instance_at(0)->worker_id, b);
}

static void test_drained_worker_is_emptied_without_room_too(void **state)
{
    int64_t a = add_worker("a", WORKER_READY);
    running_model(2);
    set_maintenance(a, "{\"enabled\":true,\"drain\":true}");
    settle();
    assert_true(instance_at(0)->is_draining);
    assert_int_equal(instance_at(0)->state_reason, REASON_MAINTENANCE);
    assert_false(instance_at(1)->is_draining);
    drained(instance_at(0)->id);
    assert_true(instance_at(0)->is_draining);
    drained(instance_at(0)->id);
    assert_int_equal(instance_count(), 2);
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
    assert_int_equal(instance_at(0)->state_reason, REASON_NO_WORKER_FITS);
}

static void test_second_failure_moves_elsewhere(void **state)
{
    int64_t a = add_worker("a", WORKER_READY), b = add_worker("b", WORKER_READY);
    add_model("m", 1);
    settle();
    int64_t id = instance_at(0)->id;
    report_more(a, id, "error", ",\"failures\":1");
    settle();
    assert_non_null(instance_by_id(id));
    report_more(a, id, "error", ",\"failures\":2");
    settle();
    assert_null(instance_by_id(id));
    assert_int_equal(instance_count(), 1);
    assert_int_equal(instance_at(0)->worker_id, b);
    assert_true(has_event(EVENT_MOVED));
    id = instance_at(0)->id;
    report_more(b, id, "error", ",\"failures\":2");
    settle();
    assert_non_null(instance_by_id(id)); /* both have failed: it stays and goes on trying */
}

static void test_a_renamed_model_restarts_nothing(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(1);
    struct model copy = {0};
    assert_int_equal(report_more(1, instance_at(0)->id, "running", ",\"served_name\":\"m\""), 0);
    record_copy(&model_type, &copy, model);
    mem_replace(&copy.name, "other");
    assert_false(model_needs_restart(model, &copy));
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    settle();
    assert_int_equal(instance_count(), 1);
    assert_string_equal(instance_at(0)->model_name, "other");
    assert_string_equal(instance_at(0)->served_name, "m"); /* as its engine still calls it */
    assert_int_equal(instance_at(0)->state, INSTANCE_RUNNING);
}

static void test_limits_and_timeouts_restart_nothing(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = running_model(2);
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.limits = (struct limits){1, 2, 3, 4, BUDGET_DAY};
    copy.first_byte_timeout = 5;
    copy.generic_proxy = true;
    assert_false(model_needs_restart(model, &copy));
    struct model_instance before = {0};
    record_copy(&model_instance_type, &before, instance_at(0));
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    settle();
    assert_int_equal(instance_count(), 2);
    assert_true(record_is_equal(&model_instance_type, &before, instance_at(0), true));
    record_fini(&model_instance_type, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lowest_score_goes_first),
        TEST(test_of_equals_the_crowded_place_is_left),
        TEST(test_what_serves_drains_before_it_goes),
        TEST(test_scaling_up_does_not_wait_for_a_drain),
        TEST(test_new_settings_surge_where_there_is_room),
        TEST(test_a_bad_setting_costs_no_replica),
        TEST(test_without_room_one_drains_and_comes_back),
        TEST(test_an_update_never_takes_the_last_ready_one),
        TEST(test_unreachable_instance_keeps_its_settings),
        TEST(test_draining_ones_keep_their_reason),
        TEST(test_lost_instances_move_one_at_a_time),
        TEST(test_a_worker_that_is_back_keeps_its_instances),
        TEST(test_lost_instances_wait_for_room),
        TEST(test_maintenance_takes_no_new_ones),
        TEST(test_maintenance_alone_moves_nothing),
        TEST(test_drained_worker_hands_over),
        TEST(test_drained_worker_is_emptied_without_room_too),
        TEST(test_second_failure_moves_elsewhere),
        TEST(test_a_renamed_model_restarts_nothing),
        TEST(test_limits_and_timeouts_restart_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
