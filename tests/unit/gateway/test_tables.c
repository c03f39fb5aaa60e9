/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tables.h"

#include "gateway/balance.h"
#include "gateway/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define USER                                                                                       \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"user\",\"id\":1,\"username\":\"admin\","                 \
    "\"is_admin\":true,\"is_active\":true,\"require_password_change\":false}"
#define KEY                                                                                        \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"key\",\"id\":3,\"access_key\":\"0123456789abcdef\","     \
    "\"secret_digest\":\"dd\",\"user_id\":1,\"expires_at_ms\":0,\"scope\":[\"*\"],"                \
    "\"allowed_model_names\":[\"hello\"]}"
#define SESSION                                                                                    \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"session\",\"id\":4,\"token_digest\":\"tt\","             \
    "\"user_id\":1,\"expires_at_ms\":9}"
#define MODEL                                                                                      \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","                    \
    "\"created_ms\":5000,\"categories\":[\"llm\"]}"
#define ENDPOINT(id, port)                                                                         \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"endpoint\",\"id\":" id ",\"name\":\"hello-a\","          \
    "\"model_id\":2,\"host\":\"10.0.0.5\",\"port\":10150,\"local_port\":" port                     \
    ",\"netns_id\":\"n\",\"token\":\"secret\"}"
#define LIMITS                                                                                     \
    "\"requests_per_minute\":60,\"tokens_per_minute\":null,\"concurrent_requests\":4,"             \
    "\"token_budget\":9000000000,\"budget_period\":\"week\""
#define ROUTE(targets, fallback)                                                                   \
    "{\"op\":\"put\",\"seq\":1,\"kind\":\"route\",\"id\":5,\"name\":\"gpt-4\","                    \
    "\"targets\":" targets fallback "}"
#define RESET "{\"op\":\"reset\",\"seq\":1}"
#define READY "{\"op\":\"ready\",\"seq\":1}"

static int apply(struct tables *tables, const char *line)
{
    struct err err = {0};
    return tables_apply(tables, str_of(line), &err);
}

static void apply_all(struct tables *tables, const char *const *lines)
{
    for (; *lines; lines++)
        assert_int_equal(apply(tables, *lines), 0);
}

static struct snapshot *build(struct tables *tables, const struct snapshot *before)
{
    struct snapshot *snapshot = snapshot_build(tables->kinds, tables->dirty, before);
    tables_clean(tables);
    return snapshot;
}

static void test_whole_state(void **state)
{
    static const char *const lines[] = {
        RESET, USER, KEY, SESSION, MODEL, ENDPOINT("8", "40001"), ENDPOINT("7", "40000"),
        READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    assert_true(tables.is_ready);
    struct snapshot *snapshot = build(&tables, NULL);
    tables_fini(&tables); /* the snapshot lives by itself */

    assert_string_equal(snapshot_user(snapshot, 1)->user.username, "admin");
    assert_null(snapshot_user(snapshot, 2));
    const struct entry *key = snapshot_key(snapshot, STR("0123456789abcdef"));
    assert_true(key->key.may_infer);
    assert_true(entry_list_allows(&key->key.allowed_model_names, "hello"));
    assert_false(entry_list_allows(&key->key.allowed_model_names, "hell"));
    assert_int_equal(snapshot_session(snapshot, STR("tt"))->session.expires_at_ms, 9);
    assert_int_equal(snapshot_model(snapshot, STR("hello"))->id, 2);
    assert_int_equal(snapshot_models(snapshot).count, 1);
    struct entry_span endpoints = snapshot_endpoints(snapshot, 2);
    assert_int_equal(endpoints.count, 2);
    assert_int_equal(endpoints.items[0]->id, 7);
    assert_int_equal(endpoints.items[1]->endpoint.local_port, 40001);
    assert_int_equal(snapshot_endpoints(snapshot, 3).count, 0);
    snapshot_unref(snapshot);
}

/* Members that older controls don't tell: 0, false, "" when they are absent. */
static void test_limits_and_more(void **state)
{
    static const char *const lines[] = {
        RESET,
        USER,
        KEY,
        ENDPOINT("7", "40000"),
        MODEL,
        "{\"op\":\"put\",\"seq\":1,\"kind\":\"user\",\"id\":2,\"username\":\"bo\","
        "\"is_admin\":false,"
        "\"is_active\":true,\"require_password_change\":false," LIMITS "}",
        "{\"op\":\"put\",\"seq\":1,\"kind\":\"key\",\"id\":4,\"access_key\":\"b\","
        "\"secret_digest\":\"d\",\"user_id\":2,\"expires_at_ms\":0,\"scope\":[],"
        "\"allowed_model_names\":[]," LIMITS "}",
        "{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":3,\"name\":\"raw\",\"created_ms\":1,"
        "\"is_stopped\":true,\"generic_proxy\":true,\"first_byte_timeout_ms\":2500," LIMITS "}",
        "{\"op\":\"put\",\"seq\":1,\"kind\":\"endpoint\",\"id\":9,\"name\":\"raw-a\","
        "\"model_id\":3,"
        "\"host\":\"h\",\"port\":1,\"local_port\":2,\"netns_id\":null,\"token\":\"t\","
        "\"served_name\":\"old\"}",
        READY,
        NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *snapshot = build(&tables, NULL);
    const struct model_entry *raw = &snapshot_model_by_id(snapshot, 3)->model;
    assert_true(raw->is_stopped && raw->generic_proxy);
    assert_int_equal(raw->first_byte_timeout_ms, 2500);
    assert_string_equal(snapshot_endpoints(snapshot, 3).items[0]->endpoint.served_name, "old");
    const struct limits *with[] = {&raw->limits, &snapshot_user(snapshot, 2)->user.limits,
                                   &snapshot_key(snapshot, STR("b"))->key.limits};
    for (size_t i = 0; i < ARRAY_LEN(with); i++) {
        assert_int_equal(with[i]->requests_per_minute, 60);
        assert_int_equal(with[i]->tokens_per_minute, 0);
        assert_int_equal(with[i]->concurrent_requests, 4);
        assert_int_equal(with[i]->token_budget, 9000000000);
        assert_int_equal(with[i]->budget_period, BUDGET_WEEK);
    }
    const struct model_entry *hello = &snapshot_model_by_id(snapshot, 2)->model;
    assert_false(hello->is_stopped || hello->generic_proxy || hello->first_byte_timeout_ms);
    assert_string_equal(snapshot_endpoints(snapshot, 2).items[0]->endpoint.served_name, "");
    assert_false(limits_are_set(&hello->limits));
    assert_false(limits_are_set(&snapshot_user(snapshot, 1)->user.limits));
    assert_null(snapshot_model_by_id(snapshot, 4));
    snapshot_unref(snapshot);
    tables_fini(&tables);
}

/* A renamed model is found by its id all the same; routes come and go with one line each. */
static void test_routes(void **state)
{
    static const char *const lines[] = {
        RESET, MODEL,
        ROUTE("[{\"model_id\":2,\"weight\":90},{\"model_id\":3,\"weight\":0}]",
              ",\"fallback_model_id\":4"),
        READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *before = build(&tables, NULL);
    const struct route_entry *route = &snapshot_route(before, STR("gpt-4"))->route;
    assert_int_equal(route->target_count, 2);
    assert_int_equal(route->targets[0].model_id, 2);
    assert_int_equal(route->targets[0].weight, 90);
    assert_int_equal(route->targets[1].weight, 0);
    assert_int_equal(route->fallback_model_id, 4);
    assert_int_equal(snapshot_routes(before).count, 1);
    assert_null(snapshot_route(before, STR("hello")));

    assert_int_equal(apply(&tables, "{\"op\":\"put\",\"seq\":2,\"kind\":\"model\",\"id\":2,"
                                    "\"name\":\"moved\",\"created_ms\":5000}"),
                     0);
    assert_int_equal(apply(&tables, "{\"op\":\"del\",\"seq\":3,\"kind\":\"route\",\"id\":5}"), 0);
    struct snapshot *after = build(&tables, before);
    assert_string_equal(snapshot_model_by_id(after, 2)->model.name, "moved");
    assert_string_equal(snapshot_model_by_id(before, 2)->model.name, "hello");
    assert_int_equal(snapshot_routes(after).count, 0);
    assert_non_null(snapshot_route(before, STR("gpt-4")));
    snapshot_unref(before);
    snapshot_unref(after);
    tables_fini(&tables);
}

static void test_changes_share_what_stays(void **state)
{
    static const char *const lines[] = {RESET, KEY, MODEL, ENDPOINT("7", "40000"), READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *before = build(&tables, NULL);
    struct lease taken; /* a request in progress */
    assert_true(lease_take(&taken, snapshot_endpoints(before, 2), &(struct tried){.count = 0},
                           0));

    assert_int_equal(apply(&tables, ENDPOINT("7", "40009")), 0);
    struct snapshot *after = build(&tables, before);
    assert_ptr_equal(before->kinds[ENTRY_KEY], after->kinds[ENTRY_KEY]);
    assert_ptr_not_equal(before->kinds[ENTRY_ENDPOINT], after->kinds[ENTRY_ENDPOINT]);
    const struct endpoint_entry *fresh = &snapshot_endpoints(after, 2).items[0]->endpoint;
    assert_int_equal(fresh->local_port, 40009);
    assert_int_equal(fresh->load->outstanding, 1);
    assert_int_equal(snapshot_endpoints(before, 2).items[0]->endpoint.local_port, 40000);
    lease_end(&taken, LEASE_SERVED, 0);
    assert_int_equal(fresh->load->outstanding, 0);

    assert_int_equal(apply(&tables, "{\"op\":\"del\",\"seq\":2,\"kind\":\"endpoint\",\"id\":7}"),
                     0);
    snapshot_unref(before);
    before = build(&tables, after);
    assert_int_equal(snapshot_endpoints(before, 2).count, 0);
    assert_int_equal(snapshot_endpoints(after, 2).count, 1);
    snapshot_unref(before);
    snapshot_unref(after);
    tables_fini(&tables);
}

static void test_reset_forgets(void **state)
{
    static const char *const lines[] = {RESET, USER, MODEL, READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *before = build(&tables, NULL);
    assert_false(tables_is_dirty(&tables));
    assert_int_equal(apply(&tables, RESET), 0);
    assert_false(tables.is_ready);
    assert_int_equal(apply(&tables, USER), 0);
    assert_int_equal(apply(&tables, READY), 0);
    struct snapshot *after = build(&tables, before);
    assert_null(snapshot_model(after, STR("hello")));
    assert_non_null(snapshot_user(after, 1));
    snapshot_unref(before);
    snapshot_unref(after);
    tables_fini(&tables);
}

static void test_passes_over_what_is_newer(void **state)
{
    static const char *const lines[] = {RESET,
                                        READY,
                                        "{\"op\":\"put\",\"seq\":2,\"kind\":\"tenant\",\"id\":1}",
                                        "{\"op\":\"hint\",\"seq\":2}",
                                        "{\"op\":\"del\",\"seq\":2,\"kind\":\"model\",\"id\":99}",
                                        NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    tables_clean(&tables);
    assert_int_equal(apply(&tables, lines[2]), 0);
    assert_int_equal(apply(&tables, lines[4]), 0);
    assert_false(tables_is_dirty(&tables));
    tables_fini(&tables);
}

static const struct {
    const char *line;
    int code;
    const char *text;
} bad_lines[] = {
    {"x", ERR_SYNTAX, "line 1"},
    {"[]", ERR_SYNTAX, "not a JSON object"},
    {"{}", ERR_INVALID, "op must be"},
    {"{\"op\":\"ready\"}", ERR_INVALID, "seq"},
    {"{\"op\":\"ready\",\"seq\":\"1\"}", ERR_INVALID, "seq"},
    {"{\"op\":\"ready\",\"seq\":0}", ERR_PROTOCOL, "seq goes back from 1 to 0"},
    {"{\"op\":\"put\",\"seq\":1}", ERR_INVALID, "kind"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"name\":\"a\",\"created_ms\":0}",
     ERR_INVALID, "model: id must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":0,\"name\":\"a\",\"created_ms\":0}",
     ERR_INVALID, "model: id must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":1,\"name\":7,\"created_ms\":0}",
     ERR_INVALID, "model: name must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"user\",\"id\":1,\"username\":\"a\",\"is_admin\":1,"
     "\"is_active\":true,\"require_password_change\":false}",
     ERR_INVALID, "user: is_admin must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"key\",\"id\":1,\"access_key\":\"a\",\"secret_"
     "digest\":"
     "\"b\",\"user_id\":1,\"expires_at_ms\":0,\"scope\":[1],\"allowed_model_names\":[]}",
     ERR_INVALID, "key: scope must hold strings"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"key\",\"id\":1,\"access_key\":\"a\",\"secret_"
     "digest\":"
     "\"b\",\"user_id\":1,\"expires_at_ms\":0,\"scope\":[]}",
     ERR_INVALID, "key: allowed_model_names must"},
    {ENDPOINT("7", "65536"), ERR_INVALID, "endpoint: local_port must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"endpoint\",\"id\":7,\"name\":\"a\",\"model_id\":2,"
     "\"host\":\"h\",\"port\":1,\"local_port\":1,\"netns_id\":\"n\",\"token\":\"a\\r\\nX: y\"}",
     ERR_INVALID, "endpoint: token must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":1,\"name\":\"a\",\"created_ms\":0,"
     "\"requests_per_minute\":-1}",
     ERR_INVALID, "model: requests_per_minute must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":1,\"name\":\"a\",\"created_ms\":0,"
     "\"budget_period\":\"year\"}",
     ERR_INVALID, "model: budget_period must be never, hour"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"model\",\"id\":1,\"name\":\"a\",\"created_ms\":0,"
     "\"generic_proxy\":1}",
     ERR_INVALID, "model: generic_proxy must"},
    {"{\"op\":\"put\",\"seq\":1,\"kind\":\"route\",\"id\":1,\"name\":\"a\"}", ERR_INVALID,
     "route: targets must be an array"},
    {ROUTE("[7]", ""), ERR_INVALID, "route: targets: model_id must"},
    {ROUTE("[{\"model_id\":2,\"weight\":101}]", ""), ERR_INVALID,
     "route: targets: weight must"},
    {ROUTE("[]", ",\"fallback_model_id\":\"2\""), ERR_INVALID,
     "route: fallback_model_id must"},
    {"{\"op\":\"del\",\"seq\":1,\"kind\":\"model\"}", ERR_INVALID, "model: id must"},
};

static void test_refuses_bad_lines(void **state)
{
    struct tables tables = {0};
    assert_int_equal(apply(&tables, USER), ERR_PROTOCOL);
    assert_int_equal(apply(&tables, RESET), 0);
    tables_clean(&tables);
    for (size_t i = 0; i < ARRAY_LEN(bad_lines); i++) {
        struct err err = {0};
        int rc = tables_apply(&tables, str_of(bad_lines[i].line), &err);
        if (rc != bad_lines[i].code || !strstr(err.text, bad_lines[i].text))
            fail_msg("%s: %d %s", bad_lines[i].line, rc, err.text);
        assert_false(tables_is_dirty(&tables));
    }
    assert_int_equal(apply(&tables, READY), 0);
    tables_fini(&tables);
}

/* A lease of any of them. */
static struct lease take(struct entry_span endpoints)
{
    struct lease lease;
    struct tried tried = {.count = 0};
    assert_true(lease_take(&lease, endpoints, &tried, 0));
    return lease;
}

static void test_balance_takes_least_and_turns(void **state)
{
    static const char *const lines[] = {
        RESET, ENDPOINT("1", "1"), ENDPOINT("2", "2"), ENDPOINT("3", "3"), READY, NULL};
    struct tables tables = {0};
    struct lease taken[6];
    unsigned of[4] = {0};
    apply_all(&tables, lines);
    struct snapshot *snapshot = build(&tables, NULL);
    struct entry_span endpoints = snapshot_endpoints(snapshot, 2);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = take(endpoints);
        of[taken[i].endpoint->id]++;
    }
    for (int id = 1; id <= 3; id++)
        assert_int_equal(of[id], 2);
    int64_t freed = taken[4].endpoint->id;
    lease_end(&taken[4], LEASE_ABANDONED, 0);
    lease_end(&taken[4], LEASE_ABANDONED, 0); /* what holds nothing is fine */
    taken[4] = take(endpoints);
    assert_int_equal(taken[4].endpoint->id, freed);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        lease_end(&taken[i], LEASE_SERVED, 0);
    snapshot_unref(snapshot);
    tables_fini(&tables);
}

/* A request that is sent on gets each instance once. */
static void test_balance_takes_each_once(void **state)
{
    static const char *const lines[] = {RESET, ENDPOINT("1", "1"), ENDPOINT("2", "2"), READY, NULL};
    struct tables tables = {0};
    struct tried tried = {.count = 0};
    struct lease lease;
    apply_all(&tables, lines);
    struct snapshot *snapshot = build(&tables, NULL);
    struct entry_span endpoints = snapshot_endpoints(snapshot, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(lease_is_possible(endpoints, &tried));
        assert_true(lease_take(&lease, endpoints, &tried, 0));
        lease_end(&lease, LEASE_FAILED, 0);
    }
    assert_int_not_equal(tried.ids[0], tried.ids[1]);
    assert_false(lease_is_possible(endpoints, &tried));
    assert_false(lease_take(&lease, endpoints, &tried, 0));
    snapshot_unref(snapshot);
    tables_fini(&tables);
}

/* One that fails is left out, but for a probe when its time has come or nobody else is there. */
static void test_balance_leaves_out_what_fails(void **state)
{
    static const char *const lines[] = {RESET, ENDPOINT("1", "1"), ENDPOINT("2", "2"), READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *snapshot = build(&tables, NULL);
    struct entry_span both = snapshot_endpoints(snapshot, 2);
    struct entry_span bad = {.items = both.items, .count = 1};
    for (int i = 0; i < BREAKER_ROW; i++) {
        struct lease lease = take(bad);
        lease_end(&lease, LEASE_FAILED, 0);
    }
    for (int i = 0; i < 4; i++) {
        struct lease lease = take(both);
        assert_ptr_equal(lease.endpoint, both.items[1]);
        lease_end(&lease, LEASE_SERVED, 0);
    }
    struct lease probe = take(bad), second;
    assert_false(lease_take(&second, bad, &(struct tried){.count = 0}, 0));
    lease_end(&probe, LEASE_ABANDONED, 0);
    probe = take(bad);
    lease_answered(&probe, 0);
    second = take(bad); /* it is well again */
    lease_end(&probe, LEASE_FAILED, 0);
    lease_end(&second, LEASE_SERVED, 0);
    snapshot_unref(snapshot);
    tables_fini(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_state),
        cmocka_unit_test(test_limits_and_more),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_changes_share_what_stays),
        cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_passes_over_what_is_newer),
        cmocka_unit_test(test_refuses_bad_lines),
        cmocka_unit_test(test_balance_takes_least_and_turns),
        cmocka_unit_test(test_balance_takes_each_once),
        cmocka_unit_test(test_balance_leaves_out_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
