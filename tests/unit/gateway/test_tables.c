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

static void test_changes_share_what_stays(void **state)
{
    static const char *const lines[] = {RESET, KEY, MODEL, ENDPOINT("7", "40000"), READY, NULL};
    struct tables tables = {0};
    apply_all(&tables, lines);
    struct snapshot *before = build(&tables, NULL);
    struct entry *taken =
        balance_take(snapshot_endpoints(before, 2), 0, &(unsigned){0}); /* a request in progress */

    assert_int_equal(apply(&tables, ENDPOINT("7", "40009")), 0);
    struct snapshot *after = build(&tables, before);
    assert_ptr_equal(before->kinds[ENTRY_KEY], after->kinds[ENTRY_KEY]);
    assert_ptr_not_equal(before->kinds[ENTRY_ENDPOINT], after->kinds[ENTRY_ENDPOINT]);
    const struct endpoint_entry *fresh = &snapshot_endpoints(after, 2).items[0]->endpoint;
    assert_int_equal(fresh->local_port, 40009);
    assert_int_equal(fresh->load->outstanding, 1);
    assert_int_equal(snapshot_endpoints(before, 2).items[0]->endpoint.local_port, 40000);
    balance_release(taken);
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
                                        "{\"op\":\"put\",\"seq\":2,\"kind\":\"route\",\"id\":1}",
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

static void test_refuses_bad_lines(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *text;
    } rows[] = {
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
        {"{\"op\":\"del\",\"seq\":1,\"kind\":\"model\"}", ERR_INVALID, "model: id must"},
    };
    struct tables tables = {0};
    assert_int_equal(apply(&tables, USER), ERR_PROTOCOL);
    assert_int_equal(apply(&tables, RESET), 0);
    tables_clean(&tables);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        int rc = tables_apply(&tables, str_of(rows[i].line), &err);
        if (rc != rows[i].code || !strstr(err.text, rows[i].text))
            fail_msg("%s: %d %s", rows[i].line, rc, err.text);
        assert_false(tables_is_dirty(&tables));
    }
    assert_int_equal(apply(&tables, READY), 0);
    tables_fini(&tables);
}

static void test_balance_takes_least_and_turns(void **state)
{
    static const char *const lines[] = {
        RESET, ENDPOINT("1", "1"), ENDPOINT("2", "2"), ENDPOINT("3", "3"), READY, NULL};
    struct tables tables = {0};
    struct entry *taken[6];
    unsigned turn = 0, of[4] = {0};
    apply_all(&tables, lines);
    struct snapshot *snapshot = build(&tables, NULL);
    struct entry_span endpoints = snapshot_endpoints(snapshot, 2);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = balance_take(endpoints, 0, &turn);
        of[taken[i]->id]++;
    }
    for (int id = 1; id <= 3; id++)
        assert_int_equal(of[id], 2);
    balance_release(taken[4]);
    struct entry *next = balance_take(endpoints, 0, &turn);
    assert_ptr_equal(next, taken[4]);
    balance_release(next);
    struct entry *other = balance_take(endpoints, next->id, &turn);
    assert_int_not_equal(other->id, next->id);
    balance_release(other);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        balance_release(i == 4 ? NULL : taken[i]);
    assert_null(balance_take((struct entry_span){0}, 0, &turn));
    assert_null(balance_take((struct entry_span){endpoints.items, 1}, 1, &turn));
    snapshot_unref(snapshot);
    tables_fini(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_state),
        cmocka_unit_test(test_changes_share_what_stays),
        cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_passes_over_what_is_newer),
        cmocka_unit_test(test_refuses_bad_lines),
        cmocka_unit_test(test_balance_takes_least_and_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
