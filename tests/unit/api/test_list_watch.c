/* SPDX-License-Identifier: Apache-2.0 */
/* ?watch=true on the list routes, over a real socket. */
#include "api_world.h"

static void test_rows_are_replayed_then_changes_follow(void **state)
{
    struct world *w = *state;
    int64_t id = put_model(w, "before");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, "/v2/models?watch=true", NULL);
    await(&reader, "\"name\":\"before\"");
    assert_int_equal(reader.status, 200);
    assert_memory_equal(reader.text.ptr, "{\"type\":1,\"data\":{", 18);
    assert_string_equal(reader.text.ptr + reader.text.len - 3, "}\n\n");
    describe_model(w, id, "changed");
    await(&reader, "\"description\":\"changed\"");
    assert_int_equal(count_of(&reader, "{\"type\":2,"), 1);
    put_model(w, "after");
    await(&reader, "\"name\":\"after\"");
    assert_int_equal(count_of(&reader, "{\"type\":1,"), 2);
    cluster_delete(w->cluster, KIND_MODEL, id);
    await(&reader, "{\"type\":3,\"data\":{\"id\":1,\"name\":\"before\"");
    close_reader(&reader);
}

static void test_a_filter_holds_for_changes_too(void **state)
{
    struct world *w = *state;
    int64_t cat = put_model(w, "cat");
    put_model(w, "dog");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, "/v2/models?watch=true&search=cat", NULL);
    await(&reader, "\"name\":\"cat\"");
    put_model(w, "dogs");
    struct model copy = {0};
    record_copy(&model_type, &copy, cluster_find(w->cluster, KIND_MODEL, cat));
    mem_replace(&copy.name, "cow");
    cluster_put(w->cluster, KIND_MODEL, &copy, control_now_ms(w->control));
    await(&reader, "{\"type\":3,\"data\":{\"id\":1,\"name\":\"cow\"");
    describe_model(w, cat, "not told");
    put_model(w, "catfish");
    await(&reader, "\"name\":\"catfish\"");
    assert_int_equal(count_of(&reader, "\"dog"), 0);
    assert_int_equal(count_of(&reader, "not told"), 0);
    close_reader(&reader);
}

static void test_instances_are_filtered_by_field(void **state)
{
    struct world *w = *state;
    for (int64_t model_id = 1; model_id <= 2; model_id++) {
        struct model model = {0};
        record_copy(&model_type, &model,
                    cluster_find(w->cluster, KIND_MODEL, put_model(w, model_id == 1 ? "a" : "b")));
        model.replicas = 1;
        cluster_put(w->cluster, KIND_MODEL, &model, control_now_ms(w->control));
    }
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, "/v2/model-instances?watch=true&model_id=2&state=pending",
                NULL);
    await(&reader, "\"model_name\":\"b\"");
    assert_int_equal(count_of(&reader, "\"model_name\":\"a\""), 0);
    cluster_delete(w->cluster, KIND_MODEL, 1);
    cluster_delete(w->cluster, KIND_MODEL, 2);
    await(&reader, "{\"type\":3,\"data\":{\"id\":2,");
    assert_int_equal(count_of(&reader, "{\"type\":3"), 1);
    close_reader(&reader);
}

static void test_api_keys_are_ones_own(void **state)
{
    struct world *w = *state;
    int64_t eve = put_user(w, "eve", false);
    auto_free char *key = put_key(w, eve, "eves");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, key, "/v2/api-keys?watch=true", NULL);
    await(&reader, "\"name\":\"eves\"");
    free(put_key(w, 1, "roots"));
    free(put_key(w, eve, "second"));
    await(&reader, "\"name\":\"second\"");
    assert_int_equal(count_of(&reader, "\"roots\""), 0);
    assert_int_equal(count_of(&reader, "\"user_id\":1"), 0);
    assert_int_equal(count_of(&reader, "secret_digest"), 0);
    close_reader(&reader);
}

static void expect_refusal(struct world *w, const char *key, const char *path, unsigned status)
{
    struct reader reader;
    open_reader(&reader, w, key, path, NULL);
    await_end(&reader);
    assert_int_equal(reader.status, status);
    close_reader(&reader);
}

static void test_refusals(void **state)
{
    struct world *w = *state;
    auto_free char *key = put_key(w, put_user(w, "eve", false), "eves");
    settle(w);
    expect_refusal(w, key, "/v2/models?watch=true", 403);
    expect_refusal(w, "gpustack_nobody", "/v2/models?watch=true", 401);
    expect_refusal(w, w->admin_key, "/v2/models?watch=yes", 422);
    expect_refusal(w, w->admin_key, "/v2/model-instances?watch=true&state=odd", 422);
    assert_int_equal(watch_count(control_watch(w->control)), 0);
}

static void test_heartbeats_are_empty_frames(void **state)
{
    struct world *w = *state;
    struct reader reader;
    open_reader(&reader, w, w->admin_key, "/v2/users?watch=true", NULL);
    await(&reader, "\"root\"");
    forget(&reader);
    skew_ms += WATCH_HEARTBEAT_MS;
    await(&reader, "\n\n");
    assert_string_equal(reader.text.ptr, "\n\n");
    close_reader(&reader);
}

/* ---- access ---- */

struct withdrawal {
    const char *name;
    void (*withdraw)(struct world *w, int64_t user_id);
};

static void delete_user(struct world *w, int64_t user_id)
{
    cluster_delete(w->cluster, KIND_USER, user_id);
}

static void change_user(struct world *w, int64_t user_id, bool is_admin, bool is_active)
{
    struct user copy = {0};
    record_copy(&user_type, &copy, cluster_find(w->cluster, KIND_USER, user_id));
    copy.is_admin = is_admin;
    copy.is_active = is_active;
    cluster_put(w->cluster, KIND_USER, &copy, control_now_ms(w->control));
}

static void deactivate_user(struct world *w, int64_t user_id)
{
    change_user(w, user_id, true, false);
}

static void demote_user(struct world *w, int64_t user_id)
{
    change_user(w, user_id, false, true);
}

static void delete_key(struct world *w, int64_t user_id)
{
    CLUSTER_FOR_EACH(w->cluster, KIND_API_KEY, struct api_key, key) {
        if (key->user_id != user_id)
            continue;
        cluster_delete(w->cluster, KIND_API_KEY, key->id);
        return;
    }
}

static void test_withdrawn_access_ends_the_stream(void **state)
{
    struct world *w = *state;
    static const struct withdrawal rows[] = {{"deleted", delete_user},
                                             {"deactivated", deactivate_user},
                                             {"demoted", demote_user},
                                             {"keyless", delete_key}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t user_id = put_user(w, rows[i].name, true);
        auto_free char *key = put_key(w, user_id, "key");
        settle(w);
        struct reader reader, other;
        open_reader(&other, w, w->admin_key, "/v2/users?watch=true", NULL);
        open_reader(&reader, w, key, "/v2/users?watch=true", NULL);
        await(&reader, rows[i].name);
        await(&other, rows[i].name);
        rows[i].withdraw(w, user_id);
        struct reader later;
        open_reader(&later, w, w->admin_key, "/v2/models?watch=maybe", NULL);
        await_end(&later);
        assert_null(reader.call); /* ended at once, not by a heartbeat */
        assert_non_null(other.call);
        close_reader(&later);
        close_reader(&reader);
        close_reader(&other);
    }
}

static void test_an_expired_key_ends_the_stream(void **state)
{
    struct world *w = *state;
    auto_free char *key = put_key(w, 1, "short");
    struct api_key copy = {0};
    record_copy(&api_key_type, &copy, cluster_find(w->cluster, KIND_API_KEY, 2));
    copy.expires_at = control_now_ms(w->control) + WATCH_HEARTBEAT_MS;
    cluster_put(w->cluster, KIND_API_KEY, &copy, control_now_ms(w->control));
    settle(w);
    struct reader reader;
    open_reader(&reader, w, key, "/v2/users?watch=true", NULL);
    await(&reader, "\"root\"");
    skew_ms += WATCH_HEARTBEAT_MS + 1;
    await_end(&reader);
    close_reader(&reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_are_replayed_then_changes_follow),
        TEST(test_a_filter_holds_for_changes_too),
        TEST(test_instances_are_filtered_by_field),
        TEST(test_api_keys_are_ones_own),
        TEST(test_refusals),
        TEST(test_heartbeats_are_empty_frames),
        TEST(test_withdrawn_access_ends_the_stream),
        TEST(test_an_expired_key_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
