/* SPDX-License-Identifier: Apache-2.0 */
/* Events, their counts and caps; revisions of models and the way back. */
#include "control/events.h"
#include "control/revisions.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct cluster cluster;

static int set_up(void **state)
{
    cluster_init(&cluster);
    return 0;
}

static int tear_down(void **state)
{
    cluster_fini(&cluster);
    return 0;
}

static struct model *add_model(const char *name)
{
    struct model fresh = {0};
    record_init(&model_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.local_path, "/models/x.gguf");
    fresh.source = MODEL_LOCAL_PATH;
    fresh.generation = 1;
    return cluster_put(&cluster, KIND_MODEL, &fresh, 1);
}

static const struct event *event_at(size_t i)
{
    assert_true(i < cluster.tables[KIND_EVENT].count);
    return cluster.tables[KIND_EVENT].rows[i];
}

static void test_the_same_event_is_counted(void **state)
{
    struct model *model = add_model("m");
    events_note(&cluster, KIND_MODEL, model, EVENT_SCALED, "{\"to\":2}", 10, "to %d", 2);
    events_note(&cluster, KIND_MODEL, model, EVENT_SCALED, "{\"to\":3}", 20, "to %d", 3);
    events_note(&cluster, KIND_MODEL, model, EVENT_DELETED, NULL, 30, "deleted");
    assert_int_equal(cluster.tables[KIND_EVENT].count, 2);
    assert_int_equal(event_at(0)->count, 2);
    assert_int_equal(event_at(0)->first_at, 10);
    assert_int_equal(event_at(0)->last_at, 20);
    assert_string_equal(event_at(0)->message, "to 3");
    assert_string_equal(event_at(0)->args, "{\"to\":3}");
    assert_string_equal(event_at(0)->object_kind, "model");
    assert_string_equal(event_at(0)->object_name, "m");
    assert_int_equal(event_at(0)->type, EVENT_NORMAL);
}

static void test_events_outlive_their_object(void **state)
{
    struct model *model = add_model("m");
    events_note(&cluster, KIND_MODEL, model, EVENT_CREATED, NULL, 10, "created");
    cluster_delete(&cluster, KIND_MODEL, model->id);
    assert_int_equal(cluster.tables[KIND_EVENT].count, 1);
}

static void test_of_all_events_the_oldest_go(void **state)
{
    for (int i = 0; i < EVENTS_MAX + 5; i++) {
        struct worker worker = {.id = i + 1};
        events_note(&cluster, KIND_WORKER, &worker, EVENT_LOST, NULL, i, "lost");
    }
    assert_int_equal(cluster.tables[KIND_EVENT].count, EVENTS_MAX);
    assert_int_equal(event_at(0)->object_id, 6);
}

static struct model *set_path(struct model *model, const char *path)
{
    struct model copy = {0};
    record_copy(&model_type, &copy, model);
    mem_replace(&copy.local_path, path);
    copy.generation++;
    model = cluster_put(&cluster, KIND_MODEL, &copy, 2);
    revisions_keep(&cluster, model, 2);
    return model;
}

static void test_a_revision_brings_settings_back(void **state)
{
    struct model *model = add_model("m");
    revisions_keep(&cluster, model, 1);
    model = set_path(model, "/models/2.gguf");
    model = set_path(model, "/models/3.gguf");
    struct model copy = {0};
    struct err err = {0};
    record_copy(&model_type, &copy, model);
    copy.replicas = 7;
    assert_int_equal(revisions_restore(&cluster, &copy, 0, &err), 0);
    assert_string_equal(copy.local_path, "/models/2.gguf");
    assert_int_equal(revisions_restore(&cluster, &copy, 1, &err), 0);
    assert_string_equal(copy.local_path, "/models/x.gguf");
    assert_int_equal(copy.replicas, 7); /* counts are no settings */
    assert_int_equal(revisions_restore(&cluster, &copy, 9, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "model m has no revision of generation 9; kept are 1, 2, 3");
    record_fini(&model_type, &copy);
}

static void test_the_latest_revisions_are_kept(void **state)
{
    struct model *model = add_model("m");
    for (int i = 0; i < REVISIONS_PER_MODEL_MAX + 5; i++)
        model = set_path(model, i % 2 ? "/a" : "/b");
    assert_int_equal(cluster.tables[KIND_REVISION].count, REVISIONS_PER_MODEL_MAX);
    cluster_delete(&cluster, KIND_MODEL, model->id);
    assert_int_equal(cluster.tables[KIND_REVISION].count, 0);
}

static void test_rows_are_found_after_moves(void **state)
{
    struct model *model = add_model("m");
    struct model_instance fresh = {.model_id = model->id, .worker_id = 4};
    mem_replace(&fresh.name, "m-1");
    int_list_add(&fresh.subordinate_worker_ids, 5);
    struct model_instance *row = cluster_put(&cluster, KIND_INSTANCE, &fresh, 1);
    assert_ptr_equal(number_index_find(&cluster.instances_on_worker, 5)->rows[0], row);
    struct model_instance copy = {0};
    record_copy(&model_instance_type, &copy, row);
    int_list_fini(&copy.subordinate_worker_ids);
    copy.worker_id = 6;
    mem_replace(&copy.name, "m-2");
    cluster_put(&cluster, KIND_INSTANCE, &copy, 2);
    assert_null(number_index_find(&cluster.instances_on_worker, 4));
    assert_null(number_index_find(&cluster.instances_on_worker, 5));
    assert_ptr_equal(number_index_find(&cluster.instances_on_worker, 6)->rows[0], row);
    assert_null(cluster_instance_by_name(&cluster, "m-1"));
    assert_ptr_equal(cluster_instance_by_name(&cluster, "m-2"), row);
    cluster_delete(&cluster, KIND_INSTANCE, row->id);
    assert_null(number_index_find(&cluster.instances_on_worker, 6));
    assert_null(cluster_instance_by_name(&cluster, "m-2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_event_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_events_outlive_their_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_all_events_the_oldest_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_revision_brings_settings_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_latest_revisions_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_are_found_after_moves, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
