/* SPDX-License-Identifier: Apache-2.0 */
#include "control/desired.h"
#include "control/registration.h"
#include "cluster_fixture.h"

static void test_replicas_are_made_and_placed(void **state)
{
    add_worker("a", WORKER_READY);
    add_worker("b", WORKER_READY);
    struct model *model = add_model("m", 3);
    assert_false(settle());
    assert_int_equal(instance_count(), 3);
    assert_string_equal(instance_at(0)->name, "m-00001");
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_string_equal(instance_at(0)->worker_name, "a");
    assert_string_equal(instance_at(1)->worker_name, "b");
    assert_int_equal(instance_at(0)->model_generation, 1);
    set_replicas(model, 0);
    settle();
    assert_int_equal(instance_count(), 0);
}

static void test_it_settles(void **state)
{
    add_worker("a", WORKER_READY);
    add_model("m", 2);
    settle();
    int64_t before = instance_at(1)->updated_at;
    env.now_ms = 9999;
    settle();
    env.now_ms = 1000;
    assert_int_equal(instance_count(), 2);
    assert_int_equal(instance_at(1)->updated_at, before);
}

static void test_pending_has_a_reason(void **state)
{
    add_model("m", 1);
    assert_true(settle());
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
    assert_string_equal(instance_at(0)->state_message, "no worker has joined yet");
    add_worker("a", WORKER_NOT_READY);
    assert_true(settle());
    assert_string_equal(instance_at(0)->state_message, "no worker fits: a: not ready");
}

static void test_what_fits_nowhere_waits_beside_what_fits(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *picky = add_model("picky", 2);
    struct model copy = {0};
    record_copy(&model_type, &copy, picky);
    string_map_set(&copy.worker_selector, "zone", "b");
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    add_model("easy", 2);
    assert_true(settle());
    static const char why[] = "no worker fits: a: label zone is missing, not b";
    assert_string_equal(instance_at(0)->state_message, why);
    assert_string_equal(instance_at(1)->state_message, why);
    assert_int_equal(instance_at(2)->state, INSTANCE_SCHEDULED);
    assert_int_equal(instance_at(3)->state, INSTANCE_SCHEDULED);
}

/* A pass for one model's sake leaves alone who waits; news of room don't. */
static void test_what_waits_is_tried_when_there_is_news_of_room(void **state)
{
    struct model *waiting = add_model("waiting", 1);
    assert_true(settle());
    add_worker("a", WORKER_READY);
    struct dirty dirty = {0};
    dirty_note(&dirty, &cluster, KIND_MODEL, add_model("fresh", 1), true, false);
    reconcile(&cluster, &env, &dirty);
    assert_int_equal(instance_at(0)->model_id, waiting->id);
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
    assert_int_equal(instance_at(1)->state, INSTANCE_SCHEDULED);
    assert_true(dirty.has_unplaced);
    dirty.has_room_news = true;
    reconcile(&cluster, &env, &dirty);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_false(dirty.has_unplaced);
    dirty_fini(&dirty);
}

/* Its engine may run there still: the same instance elsewhere would run twice. */
static void test_instance_of_removed_worker_is_replaced(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    settle();
    int64_t id = instance_at(0)->id;
    assert_int_equal(report_state(worker, id, "running"), 0);
    cluster_delete(&cluster, KIND_WORKER, worker);
    assert_true(settle());
    assert_int_equal(instance_count(), 1);
    assert_int_not_equal(instance_at(0)->id, id);
    assert_int_equal(instance_at(0)->worker_id, 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
}

static void test_new_selector_moves_instances(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 1);
    settle();
    int64_t id = instance_at(0)->id;
    set_generation(model, 2, "far");
    assert_true(settle());
    assert_int_equal(instance_count(), 1);
    assert_int_not_equal(instance_at(0)->id, id);
    assert_int_equal(instance_at(0)->model_generation, 2);
    assert_int_equal(instance_at(0)->worker_id, 0);
}

static void test_report_takes_observed_fields_only(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY), other = add_worker("b", WORKER_READY);
    add_model("m", 1);
    settle();
    struct model_instance *instance = instance_at(0);
    assert_int_equal(report_state(worker, instance->id, "running"), 0);
    assert_int_equal(instance->pid, 7);
    assert_string_equal(instance->name, "m-00001");
    /* Another worker can't say anything of it. */
    assert_int_equal(report_state(other, instance->id, "error"), 0);
    assert_int_equal(instance->state, INSTANCE_RUNNING);
    /* States of control's are refused. */
    assert_int_equal(report_state(worker, instance->id, "pending"), ERR_INVALID);
    assert_int_equal(report_state(worker, instance->id, "unreachable"), ERR_INVALID);
    assert_int_equal(instance->state, INSTANCE_RUNNING);
}

static void test_report_of_old_settings_is_ignored(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    settle();
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(STR("{\"instances\":[{\"id\":1,\"state\":\"running\","
                                   "\"model_generation\":7}]}"),
                               &body, NULL),
                     0);
    struct report_env report = {.now_ms = 5};
    struct err err = {0};
    assert_int_equal(report_apply(&cluster, worker, body, &report, &err), 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
}

static void test_unlisted_instances_are_reset_by_a_current_report(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    settle();
    report_state(worker, instance_at(0)->id, "running");
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(STR("{\"instances\":[]}"), &body, NULL), 0);
    struct report_env report = {.now_ms = 5, .is_current = false};
    struct err err = {0};
    assert_int_equal(report_apply(&cluster, worker, body, &report, &err), 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_RUNNING);
    report.is_current = true;
    assert_int_equal(report_apply(&cluster, worker, body, &report, &err), 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_int_equal(instance_at(0)->port, 0);
}

static void test_bad_reports_change_nothing(void **state)
{
    static const char *const bad[] = {
        "{}", "{\"instances\":{}}", "{\"instances\":[],\"status\":[]}", "{\"instances\":[{}]}",
        "{\"instances\":[{\"id\":1,\"state\":\"running\"},{\"id\":1,\"state\":\"dancing\"}]}"};
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    settle();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_fini(json_release) json_t *body = NULL;
        assert_int_equal(json_read(str_of(bad[i]), &body, NULL), 0);
        struct report_env report = {.now_ms = 5, .is_current = true};
        struct err err = {0};
        assert_int_equal(report_apply(&cluster, worker, body, &report, &err), ERR_INVALID);
        assert_true(strlen(err.text) > 0);
        assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    }
}

static void test_desired_lists_the_workers_instances(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    settle();
    struct buf text = {0};
    desired_write(&cluster, worker, &text);
    auto_fini(json_release) json_t *list = NULL;
    assert_int_equal(json_read(buf_str(&text), &list, NULL), 0);
    const json_t *entry = json_array_get(list, 0);
    assert_string_equal(json_member_string(entry, "name"), "m-00001");
    assert_string_equal(json_member_string(entry, "local_path"), "/models/x.gguf");
    assert_string_equal(json_member_string(entry, "source"), "local_path");
    auto_free char *token = cluster_instance_token(&cluster, 1);
    assert_string_equal(json_member_string(entry, "token"), token);
    buf_clear(&text);
    desired_write(&cluster, worker + 1, &text);
    assert_string_equal(text.ptr, "[]");
    buf_fini(&text);
}

static void test_worker_tokens(void **state)
{
    int64_t id = add_worker("a", WORKER_READY);
    add_worker("b", WORKER_READY);
    struct worker *a = cluster_find(&cluster, KIND_WORKER, id);
    auto_free char *token = cluster_worker_token(&cluster, a);
    assert_ptr_equal(cluster_worker_by_token(&cluster, token), a);
    static const char *const wrong[] = {"", "gpustack_worker_", "gpustack_worker_1_", "x",
                                        "gpustack_worker_99_00"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_null(cluster_worker_by_token(&cluster, wrong[i]));
    token[strlen("gpustack_worker_")] = '2';
    assert_null(cluster_worker_by_token(&cluster, token));
}

static void test_ids_are_never_given_twice(void **state)
{
    int64_t first = add_worker("a", WORKER_READY);
    cluster_delete(&cluster, KIND_WORKER, first);
    assert_int_equal(add_worker("b", WORKER_READY), first + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replicas_are_made_and_placed),
        TEST(test_it_settles),
        TEST(test_pending_has_a_reason),
        TEST(test_what_fits_nowhere_waits_beside_what_fits),
        TEST(test_what_waits_is_tried_when_there_is_news_of_room),
        TEST(test_instance_of_removed_worker_is_replaced),
        TEST(test_new_selector_moves_instances),
        TEST(test_report_takes_observed_fields_only),
        TEST(test_report_of_old_settings_is_ignored),
        TEST(test_unlisted_instances_are_reset_by_a_current_report),
        TEST(test_bad_reports_change_nothing),
        TEST(test_desired_lists_the_workers_instances),
        TEST(test_worker_tokens),
        TEST(test_ids_are_never_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
