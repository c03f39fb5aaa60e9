/* SPDX-License-Identifier: Apache-2.0 */
/* /v2/stream over a real socket: snapshot, deltas, resuming, slow readers, durability, access. */
#include "api_world.h"

#include "control/changes.h"

#include <sqlite3.h>

#define MODELS "/v2/stream?topics=models"

/* ---- looking at events ---- */

/* The id of the last event that was read; owned. */
static char *last_id(const struct reader *reader)
{
    const char *last = NULL;
    for (const char *at = reader->text.ptr; (at = strstr(at, "id: ")) != NULL; at += 4)
        if (at == reader->text.ptr || at[-1] == '\n')
            last = at + 4;
    assert_non_null(last);
    return mem_strndup(last, strcspn(last, "\n"));
}

/* Ids grow from event to event; returns how many there are. */
static unsigned check_order(const struct reader *reader)
{
    unsigned count = 0;
    unsigned long long before = 0;
    for (const char *at = reader->text.ptr; (at = strstr(at, "\nid: ")) != NULL; at += 5) {
        unsigned long long seq;
        assert_int_equal(sscanf(at, "\nid: %*[0-9a-f]-%*u-%llu\n", &seq), 1);
        assert_true(seq >= before);
        before = seq;
        count++;
    }
    return count;
}

static void expect_start(const struct reader *reader, const char *event)
{
    const char *behind_id = strchr(reader->text.ptr, '\n') + 1;
    assert_memory_equal(reader->text.ptr, "id: ", 4);
    assert_memory_equal(behind_id, event, strlen(event));
}

/* ---- snapshot and deltas ---- */

static void test_a_snapshot_then_deltas_in_order(void **state)
{
    struct world *w = *state;
    int64_t id = put_model(w, "before");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready\ndata: {}\n\n");
    expect_start(&reader, "event: reset\ndata: {\"reason\":\"start\"}\n\n");
    assert_int_equal(count_of(&reader, "event: models\ndata: {\"op\":\"put\",\"id\":1,\"row\":{"),
                     1);
    forget(&reader);
    put_model(w, "after");
    settle(w);
    cluster_delete(w->cluster, KIND_MODEL, id);
    await(&reader, "{\"op\":\"delete\",\"id\":1}");
    assert_true(strstr(reader.text.ptr, "\"name\":\"after\"") <
                strstr(reader.text.ptr, "\"op\":\"delete\""));
    assert_int_equal(count_of(&reader, "event: ready"), 0);
    assert_int_equal(check_order(&reader), 1);
    close_reader(&reader);
}

static void test_only_the_topics_asked_for(void **state)
{
    struct world *w = *state;
    put_model(w, "m");
    settle(w);
    struct reader reader, all;
    open_reader(&reader, w, w->admin_key, "/v2/stream?topics=users,api-keys", NULL);
    open_reader(&all, w, w->admin_key, "/v2/stream", NULL);
    await(&reader, "event: ready");
    await(&all, "event: ready");
    assert_int_equal(count_of(&reader, "event: models"), 0);
    assert_int_equal(count_of(&reader, "event: users"), 1);
    assert_int_equal(count_of(&reader, "event: api-keys"), 1);
    assert_int_equal(count_of(&all, "event: models"), 1);
    assert_int_equal(count_of(&all, "event: users"), 1);
    assert_int_equal(count_of(&all, "digest"), 0);
    close_reader(&reader);
    close_reader(&all);
}

static void put_status(struct world *w, int64_t id, int number)
{
    struct worker worker = {0};
    if (id)
        record_copy(&worker_type, &worker, cluster_find(w->cluster, KIND_WORKER, id));
    else
        record_init(&worker_type, &worker);
    mem_replace(&worker.name, "node");
    mem_replace(&worker.worker_uuid, "u");
    auto_free char *status = mem_printf("{\"beat\":%d}", number);
    mem_replace(&worker.status, status);
    cluster_put(w->cluster, KIND_WORKER, &worker, control_now_ms(w->control));
}

static void test_transient_changes_are_told_once_a_second(void **state)
{
    struct world *w = *state;
    put_status(w, 0, 0);
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, "/v2/stream?topics=workers", NULL);
    await(&reader, "event: ready");
    forget(&reader);
    for (int beat = 1; beat <= 50; beat++) {
        put_status(w, 1, beat);
        settle(w);
    }
    skew_ms += CHANGES_QUIET_MS;
    await(&reader, "{\"beat\":50}");
    assert_in_range(count_of(&reader, "event: workers"), 1, 2);
    close_reader(&reader);
}

/* ---- resuming ---- */

static void test_resuming_gives_what_was_missed(void **state)
{
    struct world *w = *state;
    int64_t kept = put_model(w, "kept"), gone = put_model(w, "gone");
    put_model(w, "untouched");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready");
    auto_free char *id = last_id(&reader);
    close_reader(&reader);
    describe_model(w, kept, "changed");
    cluster_delete(w->cluster, KIND_MODEL, gone);
    put_model(w, "fresh");
    settle(w);
    open_reader(&reader, w, w->admin_key, MODELS, id);
    await(&reader, "event: ready");
    expect_start(&reader, "event: resume\n");
    assert_int_equal(count_of(&reader, "event: models"), 3);
    assert_int_equal(count_of(&reader, "\"description\":\"changed\""), 1);
    assert_int_equal(count_of(&reader, "{\"op\":\"delete\",\"id\":2}"), 1);
    assert_int_equal(count_of(&reader, "\"name\":\"fresh\""), 1);
    close_reader(&reader);
}

static void expect_reset(struct world *w, const char *path, const char *id)
{
    struct reader reader;
    open_reader(&reader, w, w->admin_key, path, id);
    await(&reader, "event: ready");
    expect_start(&reader, "event: reset\ndata: {\"reason\":\"unknown-id\"}\n\n");
    close_reader(&reader);
}

static void test_an_unknown_id_gives_a_snapshot(void **state)
{
    struct world *w = *state;
    put_model(w, "m");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready");
    auto_free char *id = last_id(&reader);
    auto_free char *future = mem_printf("%s9", id);
    auto_free char *other_life = mem_printf("%c%s", id[0] == '0' ? '1' : '0', id + 1);
    close_reader(&reader);
    static const char *const odd[] = {"0", "-", "x-1-2", "99999999999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        expect_reset(w, MODELS, odd[i]);
    expect_reset(w, MODELS, future);
    expect_reset(w, MODELS, other_life);
    expect_reset(w, "/v2/stream?topics=models,users", id);
}

/* ---- slow readers ---- */

static void test_a_stalled_reader_costs_nothing_but_its_queue(void **state)
{
    enum { MODEL_COUNT = 10, TURNS = 100, CHANGES = 1000, BYTES_MAX = 600 << 10 };
    struct world *w = *state;
    struct buf padding = {0};
    for (int i = 0; i < 2000; i++)
        buf_add_char(&padding, 'x');
    for (int i = 0; i < MODEL_COUNT; i++) {
        auto_free char *name = mem_printf("m%d", i);
        put_model(w, name);
    }
    settle(w);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready");
    http_call_pause(reader.call);
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < CHANGES; i++) {
            auto_free char *text = mem_printf("%d.%d.%s", turn, i, padding.ptr);
            describe_model(w, i % MODEL_COUNT + 1, text);
        }
        settle(w);
    }
    http_call_resume(reader.call);
    for (int i = CHANGES - MODEL_COUNT; i < CHANGES; i++) {
        auto_free char *text = mem_printf("\"description\":\"%d.%d.x", TURNS - 1, i);
        await(&reader, text);
    }
    check_order(&reader);
    assert_in_range(reader.text.len, 1, BYTES_MAX);
    buf_fini(&padding);
    close_reader(&reader);
}

/* Makes and deletes more models than tombstones are kept for; the first `kept` ones stay. */
static void churn_models(struct world *w, size_t kept)
{
    for (int64_t i = 0; i < CHANGES_TOMBSTONES_MAX + 10; i++) {
        auto_free char *name = mem_printf("passing%lld", (long long)i);
        put_model(w, name);
    }
    settle(w);
    for (size_t i = w->cluster->tables[KIND_MODEL].count; i-- > kept;)
        cluster_delete(w->cluster, KIND_MODEL, record_id(w->cluster->tables[KIND_MODEL].rows[i]));
    settle(w);
}

static void test_who_falls_too_far_behind_is_told_to_start_anew(void **state)
{
    struct world *w = *state;
    put_model(w, "stays");
    settle(w);
    struct reader reader, frames;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    open_reader(&frames, w, w->admin_key, "/v2/models?watch=true", NULL);
    await(&reader, "event: ready");
    await(&frames, "\"stays\"");
    auto_free char *id = last_id(&reader);
    http_call_pause(reader.call);
    http_call_pause(frames.call);
    churn_models(w, 1);
    http_call_resume(reader.call);
    http_call_resume(frames.call);
    await(&reader, "event: reset\ndata: {\"reason\":\"too-slow\"}\n\n");
    const char *reset = strstr(reader.text.ptr, "\"too-slow\"");
    buf_drop(&reader.text, (size_t)(reset - reader.text.ptr));
    await(&reader, "event: ready");
    assert_int_equal(count_of(&reader, "event: models"), 1);
    assert_int_equal(count_of(&reader, "\"name\":\"stays\""), 1);
    await_end(&frames); /* GPUStack's frames can't say that */
    assert_true(frames.is_cut);
    expect_reset(w, MODELS, id);
    close_reader(&reader);
    close_reader(&frames);
}

/* Rows that are older than every tombstone, and too many for one piece. */
static void test_a_slow_snapshot_of_old_rows_does_not_start_again(void **state)
{
    enum { ROWS = 1000 };
    struct world *w = *state;
    auto_free char *note = mem_printf("%01000d", 0);
    for (int i = 0; i < ROWS; i++) {
        auto_free char *name = mem_printf("stays%d", i);
        describe_model(w, put_model(w, name), note);
    }
    settle(w);
    churn_models(w, ROWS);
    struct reader reader;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready");
    assert_int_equal(count_of(&reader, "event: reset"), 1);
    assert_int_equal(count_of(&reader, "event: models"), ROWS);
    close_reader(&reader);
}

/* ---- durability ---- */

/* Keeps the store from writing until it is closed. */
static sqlite3 *freeze_store(struct world *w)
{
    sqlite3 *db;
    auto_free char *path = mem_printf("%s/database.db", w->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void test_nothing_is_told_before_it_is_durable(void **state)
{
    struct world *w = *state;
    put_model(w, "old");
    settle(w);
    struct reader reader, late;
    open_reader(&reader, w, w->admin_key, MODELS, NULL);
    await(&reader, "event: ready");
    sqlite3 *lock = freeze_store(w);
    put_model(w, "new");
    cluster_delete(w->cluster, KIND_MODEL, 1);
    open_reader(&late, w, w->admin_key, MODELS, NULL);
    await(&late, "event: reset");
    skew_ms += WATCH_HEARTBEAT_MS;
    await(&late, ": heartbeat");
    await(&reader, ": heartbeat");
    assert_int_equal(count_of(&reader, "\"name\":\"new\""), 0);
    assert_int_equal(count_of(&reader, "\"op\":\"delete\""), 0);
    assert_int_equal(count_of(&late, "event: models"), 0);
    /* A whole state without the old model would tell its deletion too. */
    assert_int_equal(count_of(&late, "event: ready"), 0);
    sqlite3_close(lock);
    await(&reader, "\"op\":\"delete\"");
    await(&late, "event: ready");
    assert_int_equal(count_of(&reader, "\"name\":\"new\""), 1);
    assert_int_equal(count_of(&late, "\"name\":\"new\""), 1);
    close_reader(&reader);
    close_reader(&late);
}

/* ---- access ---- */

static void expect_refusal(struct world *w, const char *key, const char *path, unsigned status,
                           const char *text)
{
    struct reader reader;
    open_reader(&reader, w, key, path, NULL);
    await_end(&reader);
    assert_int_equal(reader.status, status);
    assert_non_null(strstr(reader.text.ptr, text));
    close_reader(&reader);
}

static void test_users_hear_only_what_they_may(void **state)
{
    struct world *w = *state;
    auto_free char *key = put_key(w, put_user(w, "eve", false), "eves");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, key, "/v2/stream", NULL);
    await(&reader, "event: ready");
    assert_int_equal(count_of(&reader, "event: users"), 0);
    assert_int_equal(count_of(&reader, "event: api-keys"), 1);
    close_reader(&reader);
    expect_refusal(w, key, MODELS, 403, "only administrators may watch models, eve is none");
    expect_refusal(w, key, "/v2/stream?topics=odd", 422, "models, users, workers, not odd");
    expect_refusal(w, key, "/v2/stream?topics=", 422, "topics must be some of");
    expect_refusal(w, "gpustack_nobody", MODELS, 401, "sign in");
}

static void test_a_demoted_administrator_is_told_and_left(void **state)
{
    struct world *w = *state;
    int64_t id = put_user(w, "boss", true);
    auto_free char *key = put_key(w, id, "key");
    settle(w);
    struct reader reader;
    open_reader(&reader, w, key, MODELS, NULL);
    await(&reader, "event: ready");
    struct user copy = {0};
    record_copy(&user_type, &copy, cluster_find(w->cluster, KIND_USER, id));
    copy.is_admin = false;
    sqlite3 *lock = freeze_store(w); /* the store's slowness doesn't hold it up */
    cluster_put(w->cluster, KIND_USER, &copy, control_now_ms(w->control));
    await_end(&reader);
    sqlite3_close(lock);
    assert_false(reader.is_cut);
    assert_int_equal(count_of(&reader, "event: error\ndata: {\"code\":401,"), 1);
    settle(w);
    close_reader(&reader);
}

static void test_a_user_can_not_take_all_streams(void **state)
{
    struct world *w = *state;
    struct reader *readers = mem_alloc_array(WATCHERS_PER_USER_MAX, sizeof *readers);
    auto_free char *eve = put_key(w, put_user(w, "eve", true), "key");
    settle(w);
    for (int i = 0; i < WATCHERS_PER_USER_MAX; i++)
        open_reader(&readers[i], w, eve, MODELS, NULL);
    for (int i = 0; i < WATCHERS_PER_USER_MAX; i++)
        await(&readers[i], "event: ready");
    expect_refusal(w, eve, MODELS, 503, "at most 200 streams");
    struct reader other;
    open_reader(&other, w, w->admin_key, MODELS, NULL);
    await(&other, "event: ready");
    close_reader(&other);
    for (int i = 0; i < WATCHERS_PER_USER_MAX; i++)
        close_reader(&readers[i]);
    free(readers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_snapshot_then_deltas_in_order),
        TEST(test_only_the_topics_asked_for),
        TEST(test_transient_changes_are_told_once_a_second),
        TEST(test_resuming_gives_what_was_missed),
        TEST(test_an_unknown_id_gives_a_snapshot),
        TEST(test_a_stalled_reader_costs_nothing_but_its_queue),
        TEST(test_who_falls_too_far_behind_is_told_to_start_anew),
        TEST(test_a_slow_snapshot_of_old_rows_does_not_start_again),
        TEST(test_nothing_is_told_before_it_is_durable),
        TEST(test_users_hear_only_what_they_may),
        TEST(test_a_demoted_administrator_is_told_and_left),
        TEST(test_a_user_can_not_take_all_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
