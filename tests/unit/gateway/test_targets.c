/* SPDX-License-Identifier: Apache-2.0 */
/* Names -> models: routes before models, shares by weight, the order of the others. */
#include "gateway/targets.h"

#include "gateway/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct tables tables;
static struct snapshot *snapshot;

static void line(const char *text)
{
    struct err err = {0};
    if (tables_apply(&tables, str_of(text), &err) < 0)
        fail_msg("%s: %s", text, err.text);
}

static int setup(void **state)
{
    tables = (struct tables){0};
    line("{\"op\":\"reset\",\"seq\":1}");
    for (int id = 1; id <= TARGETS_MAX; id++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":%d,\"name\":\"m%d\","
                 "\"created_ms\":0}",
                 id, id);
        line(text);
    }
    line("{\"op\":\"put\",\"seq\":1,\"kind\":\"endpoint\",\"id\":7,\"name\":\"m2-a\","
         "\"model_id\":2,\"host\":\"h\",\"port\":1,\"local_port\":2,\"netns_id\":\"n\","
         "\"token\":\"t\"}");
    return 0;
}

static void route(const char *name, const char *targets, int fallback)
{
    char text[1000];
    snprintf(text, sizeof text,
             "{\"op\":\"put\",\"seq\":1,\"kind\":\"route\",\"id\":1,\"name\":\"%s\","
             "\"targets\":[%s],\"fallback_model_id\":%d}",
             name, targets, fallback);
    line(text);
    snapshot_unref(snapshot);
    snapshot = snapshot_build(tables.kinds, tables.dirty, NULL);
}

static int teardown(void **state)
{
    snapshot_unref(TAKE(snapshot));
    tables_fini(&tables);
    return 0;
}

static void expect(const char *name, unsigned turn, const char *want)
{
    struct targets targets;
    struct buf seen = {0};
    if (targets_find(snapshot, name, turn, &targets))
        for (unsigned i = 0; i < targets.count; i++)
            buf_printf(&seen, "%s%lld", i ? " " : "", (long long)targets.models[i]->id);
    assert_string_equal(seen.ptr ? seen.ptr : "", want);
    buf_fini(&seen);
}

static void test_names(void **state)
{
    route("m1", "{\"model_id\":2,\"weight\":1}", 0);
    expect("m1", 0, "2"); /* the route goes before the model of its name */
    expect("m3", 0, "3");
    expect("m99", 0, "");
    route("r", "{\"model_id\":99,\"weight\":1}", 0);
    expect("r", 0, ""); /* its models are gone */
    expect("m1", 0, "1");
}

static void test_order(void **state)
{
    route("r", "{\"model_id\":3,\"weight\":1},{\"model_id\":4,\"weight\":0},"
               "{\"model_id\":5,\"weight\":98},{\"model_id\":6,\"weight\":1}", 7);
    expect("r", 1, "5 3 6 7"); /* weight 0 gets nothing, the fallback is last */
    route("r", "{\"model_id\":3,\"weight\":0}", 7);
    expect("r", 0, "7");
    route("r", "{\"model_id\":3,\"weight\":2}", 3);
    expect("r", 0, "3"); /* each once */
}

static void test_as_many_targets_as_there_may_be(void **state)
{
    struct buf targets = {0};
    for (int id = 1; id <= ROUTE_TARGETS_MAX; id++)
        buf_printf(&targets, "%s{\"model_id\":%d,\"weight\":%d}", id > 1 ? "," : "", id, id);
    route("r", targets.ptr, TARGETS_MAX);
    buf_fini(&targets);
    struct targets found;
    assert_true(targets_find(snapshot, "r", 0, &found));
    assert_int_equal(found.count, TARGETS_MAX);
    assert_int_equal(found.models[TARGETS_MAX - 1]->id, TARGETS_MAX); /* the fallback */
}

/* Whatever the number of requests, each target's share is right but for a few of them. */
static void test_shares(void **state)
{
    static const int weights[] = {90, 5, 4, 1};
    unsigned counts[ARRAY_LEN(weights)] = {0};
    route("r", "{\"model_id\":1,\"weight\":90},{\"model_id\":2,\"weight\":5},"
               "{\"model_id\":3,\"weight\":4},{\"model_id\":4,\"weight\":1}", 0);
    for (unsigned turn = 0; turn < 10000; turn++) {
        struct targets targets;
        assert_true(targets_find(snapshot, "r", turn, &targets));
        counts[targets.models[0]->id - 1]++;
        for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
            double due = (turn + 1) * weights[i] / 100.0;
            if (counts[i] > due + 4 || counts[i] < due - 4)
                fail_msg("after %u requests target %zu has %u of %f", turn + 1, i, counts[i], due);
        }
    }
}

static void test_served(void **state)
{
    struct targets targets;
    route("r", "{\"model_id\":1,\"weight\":1}", 2);
    assert_true(targets_find(snapshot, "r", 0, &targets));
    assert_true(targets_are_served(snapshot, &targets));
    assert_true(targets_find(snapshot, "m1", 0, &targets));
    assert_false(targets_are_served(snapshot, &targets));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),  TEST(test_order),  TEST(test_as_many_targets_as_there_may_be),
        TEST(test_shares), TEST(test_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
