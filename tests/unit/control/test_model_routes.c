/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and the models that they name. */
#include "cluster_fixture.h"
#include "control/model_routes.h"

static struct model_route *add_route(const char *name, const char *targets, int64_t fallback_id)
{
    struct model_route fresh = {0};
    record_init(&model_route_type, &fresh);
    mem_replace(&fresh.name, name);
    mem_replace(&fresh.targets, targets);
    fresh.fallback_model_id = fallback_id;
    return cluster_put(&cluster, KIND_ROUTE, &fresh, 1);
}

static void test_each_model_must_be_there(void **state)
{
    struct err err = {0};
    add_model("m", 0);
    const struct model_route *good = add_route("r", "[{\"model_id\":1,\"weight\":1}]", 1);
    assert_int_equal(model_routes_check(&cluster, good, &err), 0);
    const struct model_route *bad =
        add_route("s", "[{\"model_id\":1},{\"model_id\":8},{\"model_id\":9}]", 7);
    assert_int_equal(model_routes_check(&cluster, bad, &err), ERR_INVALID);
    assert_string_equal(err.text, "3 errors: targets: there is no model with id 8; "
                                  "targets: there is no model with id 9; "
                                  "fallback_model_id: there is no model with id 7");
}

static void test_routes_of_a_model_are_named(void **state)
{
    add_model("m", 0);
    add_model("n", 0);
    assert_null(model_routes_of(&cluster, 1));
    add_route("a", "[{\"model_id\":1,\"weight\":1}]", 0);
    add_route("b", "[{\"model_id\":2,\"weight\":1}]", 1);
    auto_free char *of_m = model_routes_of(&cluster, 1), *of_n = model_routes_of(&cluster, 2);
    assert_string_equal(of_m, "a, b");
    assert_string_equal(of_n, "b");
    assert_ptr_equal(cluster_route_by_name(&cluster, "b"), cluster_find(&cluster, KIND_ROUTE, 2));
}

static void test_a_model_that_goes_leaves_its_routes(void **state)
{
    const struct model *model = add_model("m", 0);
    add_model("n", 0);
    add_route("only", "[{\"model_id\":1,\"weight\":1}]", 2);
    add_route("unweighted", "[{\"model_id\":1,\"weight\":1},{\"model_id\":2,\"weight\":0}]", 0);
    add_route("shared", "[{\"model_id\":1,\"weight\":1},{\"model_id\":2,\"weight\":3}]", 1);
    add_route("other", "[{\"model_id\":2,\"weight\":1}]", 0);
    model_routes_drop(&cluster, model, 9);
    assert_null(model_routes_of(&cluster, model->id));
    assert_null(cluster_route_by_name(&cluster, "only"));
    assert_null(cluster_route_by_name(&cluster, "unweighted"));
    const struct model_route *shared = cluster_route_by_name(&cluster, "shared");
    assert_string_equal(shared->targets, "[{\"model_id\":2,\"weight\":3}]");
    assert_int_equal(shared->fallback_model_id, 0);
    assert_int_equal(shared->version, 2);
    assert_int_equal(cluster_route_by_name(&cluster, "other")->version, 1);
    assert_true(events_has(&cluster, KIND_ROUTE, 1, EVENT_DELETED));
    assert_true(events_has(&cluster, KIND_ROUTE, shared->id, EVENT_SETTINGS_CHANGED));
}

/* What a route sends where concerns gateways alone: no instance is looked at for it. */
static void test_routes_make_no_work_for_the_reconciler(void **state)
{
    struct dirty dirty = {0};
    add_model("m", 1);
    settle();
    const struct model_route *route = add_route("r", "[{\"model_id\":1,\"weight\":1}]", 0);
    dirty_note(&dirty, &cluster, KIND_ROUTE, route, true, false);
    dirty_note(&dirty, &cluster, KIND_ROUTE, route, true, true);
    assert_false(dirty_has_work(&dirty));
    dirty_fini(&dirty);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_model_must_be_there),
        TEST(test_routes_of_a_model_are_named),
        TEST(test_a_model_that_goes_leaves_its_routes),
        TEST(test_routes_make_no_work_for_the_reconciler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
