/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reconcile.h"
#include "control/report.h"

#include "control/desired.h"
#include "control/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct cluster cluster;
static unsigned suffixes;

static char *make_suffix(void *ctx)
{
    return mem_printf("%05u", ++suffixes);
}

static const struct reconcile_env env = {.now_ms = 1000, .make_suffix = make_suffix};

static int set_up(void **state)
{
    cluster_init(&cluster);
    cluster.secret = mem_strdup("secret");
    suffixes = 0;
    return 0;
}

static int tear_down(void **state)
{
    cluster_fini(&cluster);
    return 0;
}

static int64_t add_worker(const char *name, enum worker_state worker_state)
{
    struct worker fresh = {0};
    record_init(&worker_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.worker_uuid, name);
    mem_replace(&fresh.ip, "10.0.0.1");
    fresh.memory_total = 16LL << 30;
    fresh.state = worker_state;
    return record_id(cluster_put(&cluster, KIND_WORKER, &fresh, 1));
}

static struct model *add_model(const char *name, int64_t replicas)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/models/x.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.replicas = replicas;
    fresh.generation = 1;
    return cluster_put(&cluster, KIND_MODEL, &fresh, 1);
}

static void set_replicas(struct model *model, int64_t replicas)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.replicas = replicas;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static struct model_instance *instance_at(size_t i)
{
    assert_true(i < cluster.tables[KIND_INSTANCE].count);
    return cluster.tables[KIND_INSTANCE].rows[i];
}

static size_t instance_count(void)
{
    return cluster.tables[KIND_INSTANCE].count;
}

/* Sends a report of one instance as its worker would. */
static int report_state(int64_t worker_id, int64_t id, const char *word, bool is_current)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"instances\":[{\"id\":%lld,\"state\":\"%s\",\"pid\":7,\"port\":40000,"
             "\"model_generation\":%lld}]}",
             (long long)id, word,
             (long long)((struct model_instance *)cluster_find(&cluster, KIND_INSTANCE, id))
                 ->model_generation);
    auto_fini(json_release) json_t *body = NULL;
    assert_int_equal(json_read(str_of(text), &body, NULL), 0);
    struct report_env report = {.now_ms = 5, .is_current = is_current};
    struct err err = {0};
    return report_apply(&cluster, worker_id, body, &report, &err);
}

static void test_replicas_are_made_and_placed(void **state)
{
    add_worker("a", WORKER_READY);
    add_worker("b", WORKER_READY);
    struct model *model = add_model("m", 3);
    assert_false(reconcile(&cluster, &env));
    assert_int_equal(instance_count(), 3);
    assert_string_equal(instance_at(0)->name, "m-00001");
    assert_int_equal(instance_at(0)->state, INSTANCE_SCHEDULED);
    assert_string_equal(instance_at(0)->worker_name, "a");
    assert_string_equal(instance_at(1)->worker_name, "b");
    assert_int_equal(instance_at(0)->model_generation, 1);
    set_replicas(model, 0);
    reconcile(&cluster, &env);
    assert_int_equal(instance_count(), 0);
}

static void test_it_settles(void **state)
{
    add_worker("a", WORKER_READY);
    add_model("m", 2);
    reconcile(&cluster, &env);
    int64_t before = instance_at(1)->updated_at;
    struct reconcile_env later = env;
    later.now_ms = 9999;
    reconcile(&cluster, &later);
    assert_int_equal(instance_count(), 2);
    assert_int_equal(instance_at(1)->updated_at, before);
}

static void test_pending_has_a_reason(void **state)
{
    add_model("m", 1);
    assert_true(reconcile(&cluster, &env));
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
    assert_string_equal(instance_at(0)->state_message, "no worker has joined yet");
    add_worker("a", WORKER_NOT_READY);
    assert_true(reconcile(&cluster, &env));
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
    assert_true(reconcile(&cluster, &env));
    static const char why[] = "no worker fits: a: label zone is missing, not b";
    assert_string_equal(instance_at(0)->state_message, why);
    assert_string_equal(instance_at(1)->state_message, why);
    assert_int_equal(instance_at(2)->state, INSTANCE_SCHEDULED);
    assert_int_equal(instance_at(3)->state, INSTANCE_SCHEDULED);
}

static void test_least_useful_goes_first(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 3);
    reconcile(&cluster, &env);
    int64_t first = instance_at(0)->id, second = instance_at(1)->id, third = instance_at(2)->id;
    assert_int_equal(report_state(worker, first, "starting", false), 0);
    assert_int_equal(report_state(worker, second, "error", false), 0);
    assert_int_equal(report_state(worker, third, "running", false), 0);
    set_replicas(model, 2);
    reconcile(&cluster, &env);
    assert_null(cluster_find(&cluster, KIND_INSTANCE, second));
    set_replicas(model, 1);
    reconcile(&cluster, &env);
    assert_null(cluster_find(&cluster, KIND_INSTANCE, first));
    assert_int_equal(model->ready_replicas, 1);
}

/* Its engine may run there still: the same instance elsewhere would run twice. */
static void test_instance_of_removed_worker_is_replaced(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    reconcile(&cluster, &env);
    int64_t id = instance_at(0)->id;
    assert_int_equal(report_state(worker, id, "running", false), 0);
    cluster_delete(&cluster, KIND_WORKER, worker);
    assert_true(reconcile(&cluster, &env));
    assert_int_equal(instance_count(), 1);
    assert_int_not_equal(instance_at(0)->id, id);
    assert_int_equal(instance_at(0)->worker_id, 0);
    assert_int_equal(instance_at(0)->state, INSTANCE_PENDING);
}

static void set_generation(struct model *model, int64_t generation, const char *zone)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.generation = generation;
    if (zone)
        string_map_set(&copy.worker_selector, "zone", zone);
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
}

static void test_serving_one_waits_for_one_that_does_not_serve(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 2);
    reconcile(&cluster, &env);
    report_state(worker, instance_at(0)->id, "error", false);
    report_state(worker, instance_at(1)->id, "running", false);
    set_generation(model, 2, NULL);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(0)->model_generation, 2);
    assert_int_equal(instance_at(1)->model_generation, 1);
    report_state(worker, instance_at(0)->id, "running", false);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(1)->model_generation, 2);
}

static void test_unreachable_instance_keeps_its_settings(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 1);
    reconcile(&cluster, &env);
    report_state(worker, instance_at(0)->id, "running", false);
    liveness_lose(&cluster, cluster_find(&cluster, KIND_WORKER, worker), 3);
    assert_int_equal(instance_at(0)->state, INSTANCE_UNREACHABLE);
    set_generation(model, 2, NULL);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(0)->model_generation, 1);
    report_state(worker, instance_at(0)->id, "running", false);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(0)->model_generation, 2);
}

static void test_new_selector_moves_instances(void **state)
{
    add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 1);
    reconcile(&cluster, &env);
    int64_t id = instance_at(0)->id;
    set_generation(model, 2, "far");
    assert_true(reconcile(&cluster, &env));
    assert_int_equal(instance_count(), 1);
    assert_int_not_equal(instance_at(0)->id, id);
    assert_int_equal(instance_at(0)->model_generation, 2);
    assert_int_equal(instance_at(0)->worker_id, 0);
}

static void test_new_settings_roll_one_by_one(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    struct model *model = add_model("m", 2);
    reconcile(&cluster, &env);
    int64_t first = instance_at(0)->id, second = instance_at(1)->id;
    report_state(worker, first, "running", false);
    report_state(worker, second, "running", false);
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    copy.generation = 2;
    cluster_put(&cluster, KIND_MODEL, &copy, 2);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(0)->model_generation, 2);
    assert_int_equal(instance_at(1)->model_generation, 1);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(1)->model_generation, 1);
    assert_int_equal(report_state(worker, first, "running", false), 0);
    reconcile(&cluster, &env);
    assert_int_equal(instance_at(1)->model_generation, 2);
}

static void test_report_takes_observed_fields_only(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY), other = add_worker("b", WORKER_READY);
    add_model("m", 1);
    reconcile(&cluster, &env);
    struct model_instance *instance = instance_at(0);
    assert_int_equal(report_state(worker, instance->id, "running", false), 0);
    assert_int_equal(instance->pid, 7);
    assert_string_equal(instance->name, "m-00001");
    /* Another worker can't say anything of it. */
    assert_int_equal(report_state(other, instance->id, "error", false), 0);
    assert_int_equal(instance->state, INSTANCE_RUNNING);
    /* States of control's are refused. */
    assert_int_equal(report_state(worker, instance->id, "pending", false), ERR_INVALID);
    assert_int_equal(report_state(worker, instance->id, "unreachable", false), ERR_INVALID);
    assert_int_equal(instance->state, INSTANCE_RUNNING);
}

static void test_report_of_old_settings_is_ignored(void **state)
{
    int64_t worker = add_worker("a", WORKER_READY);
    add_model("m", 1);
    reconcile(&cluster, &env);
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
    reconcile(&cluster, &env);
    report_state(worker, instance_at(0)->id, "running", false);
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
    reconcile(&cluster, &env);
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
    reconcile(&cluster, &env);
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
        TEST(test_least_useful_goes_first),
        TEST(test_instance_of_removed_worker_is_replaced),
        TEST(test_serving_one_waits_for_one_that_does_not_serve),
        TEST(test_unreachable_instance_keeps_its_settings),
        TEST(test_new_selector_moves_instances),
        TEST(test_new_settings_roll_one_by_one),
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
