/* SPDX-License-Identifier: Apache-2.0 */
/* Instances over several workers: all ranks or none, epochs, delays, the first failed rank. */
#include "cluster_fixture.h"
#include "control/desired.h"
#include "control/gangs.h"

/* A worker with `count` devices of type cuda. */
static int64_t add_device_worker(const char *name, size_t count)
{
    int64_t id = add_worker(name, WORKER_READY);
    struct worker copy = {0};
    record_copy(&worker_type, &copy, cluster_find(&cluster, KIND_WORKER, id));
    copy.devices = mem_alloc_array(count + 1, sizeof *copy.devices);
    copy.device_count = count;
    for (size_t i = 0; i < count; i++) {
        copy.devices[i] = (struct worker_device){
            .index = (int64_t)i, .type = mem_strdup("cuda"), .island = -1, .is_healthy = true};
        int_list_add(&copy.device_indexes, (int64_t)i);
        string_list_add(&copy.device_types, "cuda");
    }
    cluster_put(&cluster, KIND_WORKER, &copy, 2);
    return id;
}

static struct model *add_gang_model(const char *selector)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, add_model("m", 1));
    mem_replace(&copy.gpu_selector, selector);
    return cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

/* Two workers of two devices, one gang over all four. */
static struct model_instance *make_gang(void)
{
    add_device_worker("a", 2);
    add_device_worker("b", 2);
    add_gang_model("{\"gpus_per_replica\":4}");
    assert_false(settle());
    return instance_at(0);
}

static struct gang gang_of(const struct model_instance *instance)
{
    struct gang gang = {0};
    assert_int_equal(gang_read(instance->distributed_servers, &gang, NULL), 0);
    return gang;
}

/* Reports a rank's worker, with its own epoch and more members. */
static void report_rank(int64_t worker_id, int64_t epoch, const char *state, const char *more)
{
    auto_free char *text = mem_printf(",\"gang_epoch\":%lld,\"ports\":[4%lld000]%s",
                                      (long long)epoch, (long long)worker_id, more);
    assert_int_equal(report_more(worker_id, instance_at(0)->id, state, text), 0);
    settle();
}

static void assert_gang(int64_t epoch, bool go, int64_t failed_rank)
{
    struct gang gang = gang_of(instance_at(0));
    assert_int_equal(gang.epoch, epoch);
    assert_int_equal(gang.go, go);
    assert_int_equal(gang.failed_rank, failed_rank);
    gang_fini(&gang);
}

static void start_gang(int64_t epoch)
{
    report_rank(1, epoch, "initializing", ",\"prepared\":true");
    report_rank(2, epoch, "initializing", ",\"prepared\":true");
}

static void test_devices_of_several_workers_make_a_gang(void **state)
{
    const struct model_instance *instance = make_gang();
    assert_int_equal(instance->worker_id, 1);
    assert_int_equal(instance->gpu_indexes.count, 2);
    assert_int_equal(instance->subordinate_worker_ids.count, 1);
    assert_int_equal(instance->subordinate_worker_ids.items[0], 2);
    struct gang gang = gang_of(instance);
    assert_int_equal(gang.rank_count, 2);
    assert_string_equal(gang.ranks[1].worker_name, "b");
    gang_fini(&gang);
}

static void test_all_or_none_is_placed(void **state)
{
    add_device_worker("a", 2);
    add_device_worker("b", 1);
    add_gang_model("{\"gpus_per_replica\":4}");
    assert_true(settle());
    assert_int_equal(instance_at(0)->worker_id, 0);
    assert_int_equal(instance_at(0)->state_reason, REASON_NO_WORKER_FITS);
    assert_non_null(strstr(instance_at(0)->state_args, "\"devices_short\":2"));
}

static void test_all_start_when_all_are_prepared(void **state)
{
    make_gang();
    report_rank(1, 1, "initializing", ",\"prepared\":true");
    assert_gang(1, false, -1);
    report_rank(2, 1, "initializing", ",\"prepared\":true");
    assert_gang(1, true, -1);
    assert_int_equal(instance_at(0)->state, INSTANCE_STARTING);
    report_rank(1, 1, "running", ",\"prepared\":true");
    assert_int_equal(instance_at(0)->state, INSTANCE_STARTING);
    report_rank(2, 1, "running", ",\"prepared\":true");
    assert_int_equal(instance_at(0)->state, INSTANCE_RUNNING);
    assert_int_equal(instance_at(0)->port, 41000); /* rank 0's */
}

static void test_what_rank_0_is_called_counts(void **state)
{
    make_gang();
    report_rank(1, 1, "running", ",\"prepared\":true,\"served_name\":\"m\"");
    report_rank(2, 1, "running", ",\"prepared\":true,\"served_name\":\"x\"");
    assert_string_equal(instance_at(0)->served_name, "m");
}

static void test_desired_states_name_ranks_and_addresses(void **state)
{
    make_gang();
    struct buf text = {0};
    desired_write(&cluster, 2, &text);
    assert_non_null(strstr(text.ptr, "\"rank\":1,\"rank_count\":2,\"gang_epoch\":1,\"go\":false,"
                                     "\"ranks\":[]"));
    buf_clear(&text);
    start_gang(1);
    desired_write(&cluster, 2, &text);
    assert_non_null(strstr(text.ptr, "\"go\":true,\"ranks\":[{\"rank\":0,\"ip\":\"10.0.0.1\","
                                     "\"ports\":[41000],\"gpu_indexes\":[0,1]}"));
    buf_fini(&text);
}

static void test_any_rank_that_dies_restarts_all(void **state)
{
    make_gang();
    start_gang(1);
    report_rank(1, 1, "running", ",\"prepared\":true");
    report_rank(2, 1, "running", ",\"prepared\":true");
    report_rank(2, 1, "error",
                ",\"state_reason\":\"engine_exited\",\"state_message\":\"exit code 3\"");
    assert_gang(2, false, 1);
    const struct model_instance *instance = instance_at(0);
    assert_int_equal(instance->state, INSTANCE_ERROR);
    assert_int_equal(instance->state_reason, REASON_RANK_FAILED);
    assert_string_equal(instance->state_message,
                        "rank 1 on worker b failed: exit code 3; all start anew in 10 s");
    assert_int_equal(instance->failures, 1);
    assert_true(has_event(EVENT_GANG_STOPPED));
    /* What rank 0 still says of the old epoch doesn't count. */
    report_rank(1, 1, "error", "");
    assert_gang(2, false, 1);
    assert_int_equal(instance_at(0)->failures, 1);
}

static void test_the_next_try_waits_by_controls_clock(void **state)
{
    make_gang();
    start_gang(1);
    report_rank(2, 1, "error", "");
    start_gang(2);
    assert_gang(2, false, 1);
    struct gang_env due = {.now_ms = 5, .now_mono_ms = mono_ms + GANG_DELAY_MIN_MS - 1};
    assert_false(gangs_is_due(instance_at(0), &due));
    due.now_mono_ms++;
    assert_true(gangs_is_due(instance_at(0), &due));
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, instance_at(0));
    gangs_settle(&cluster, &copy, &due);
    cluster_put(&cluster, KIND_INSTANCE, &copy, 5);
    assert_gang(2, true, 1);
    assert_int_equal(instance_at(0)->state, INSTANCE_STARTING);
}

static void test_tries_end_at_the_limit(void **state)
{
    make_gang();
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_find(&cluster, KIND_MODEL, 1));
    copy.max_restarts = 2;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    report_rank(1, 1, "error", "");
    assert_int_equal(instance_at(0)->state_reason, REASON_RANK_FAILED);
    report_rank(1, 2, "error", "");
    assert_int_equal(instance_at(0)->state_reason, REASON_RESTART_LIMIT);
    start_gang(3);
    const struct gang_env late = {.now_ms = 5, .now_mono_ms = mono_ms + 86400000};
    assert_false(gangs_is_due(instance_at(0), &late));
    assert_gang(3, false, 0);
    set_generation(cluster_find(&cluster, KIND_MODEL, 1), 2, NULL);
    settle(); /* other settings begin anew */
    assert_int_equal(instance_at(0)->failures, 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
}

static void test_a_silent_rank_makes_the_gang_unreachable(void **state)
{
    make_gang();
    start_gang(1);
    report_rank(1, 1, "running", ",\"prepared\":true");
    report_rank(2, 1, "running", ",\"prepared\":true");
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, 2), 3);
    assert_int_equal(instance_at(0)->state, INSTANCE_UNREACHABLE);
    report_rank(1, 1, "running", ",\"prepared\":true");
    assert_int_equal(instance_at(0)->state, INSTANCE_UNREACHABLE);
    liveness_regain(&cluster, cluster_find(&cluster, KIND_WORKER, 2), 4);
    report_rank(2, 1, "running", ",\"prepared\":true");
    assert_int_equal(instance_at(0)->state, INSTANCE_RUNNING);
    assert_gang(1, true, -1);
}

static void test_a_rank_that_is_unknown_restarts_all(void **state)
{
    make_gang();
    start_gang(1);
    report_rank(1, 1, "running", ",\"prepared\":true");
    report_rank(2, 1, "running", ",\"prepared\":true");
    assert_int_equal(report_entries(2, "[]", true), 0);
    assert_gang(2, false, 1);
    assert_int_equal(instance_at(0)->state, INSTANCE_ERROR);
}

static void test_only_rank_0_is_asked_to_drain(void **state)
{
    make_gang();
    start_gang(1);
    report_rank(1, 1, "running", ",\"prepared\":true");
    report_rank(2, 1, "running", ",\"prepared\":true");
    set_replicas(cluster_find(&cluster, KIND_MODEL, 1), 0);
    settle();
    struct buf text = {0};
    desired_write(&cluster, 1, &text);
    assert_non_null(strstr(text.ptr, "\"draining\":true"));
    buf_clear(&text);
    desired_write(&cluster, 2, &text);
    assert_non_null(strstr(text.ptr, "\"draining\":false"));
    buf_fini(&text);
    report_rank(2, 1, "running", ",\"drained\":true"); /* isn't its word to say */
    assert_int_equal(instance_count(), 1);
    assert_int_equal(report_more(1, 1, "initializing", ",\"drained\":true"), 0);
    settle();
    assert_int_equal(instance_count(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_devices_of_several_workers_make_a_gang),
        TEST(test_all_or_none_is_placed),
        TEST(test_all_start_when_all_are_prepared),
        TEST(test_what_rank_0_is_called_counts),
        TEST(test_desired_states_name_ranks_and_addresses),
        TEST(test_any_rank_that_dies_restarts_all),
        TEST(test_the_next_try_waits_by_controls_clock),
        TEST(test_tries_end_at_the_limit),
        TEST(test_a_silent_rank_makes_the_gang_unreachable),
        TEST(test_a_rank_that_is_unknown_restarts_all),
        TEST(test_only_rank_0_is_asked_to_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
