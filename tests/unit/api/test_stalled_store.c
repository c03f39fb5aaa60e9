/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says while another process keeps the database from being written. */
#include "api_world.h"

#include <sqlite3.h>

/* Holds the database, in the middle of a change that waits for it. */
static sqlite3 *stall(struct world *w, int64_t model_id)
{
    sqlite3 *other;
    auto_free char *path = mem_printf("%s/database.db", w->folder);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    describe_model(w, model_id, "waits");
    return other;
}

static void go_on(sqlite3 *other)
{
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

/* Begins a request with a JSON body ("" for none). */
static void ask(struct reader *reader, struct world *w, enum http_method method, const char *path,
                const char *body)
{
    struct err err = {0};
    *reader = (struct reader){.w = w, .path = mem_strdup(path)};
    reader->bearer = mem_printf("Bearer %s", w->admin_key);
    auto_free char *url = mem_printf("unix:%s/s", w->folder);
    assert_int_equal(http_target_parse(url, &reader->target, &err), 0);
    const struct http_header header = {STR("Authorization"), str_of(reader->bearer)};
    const struct http_call_params params = {
        .target = &reader->target,
        .method = method,
        .path = str_of(reader->path),
        .headers = &header,
        .header_count = 1,
        .body = http_body_of(str_of(body)),
        .head_timeout_ms = 0,
    };
    reader->call = http_call_start(w->pool, &params, &call_ops, reader);
}

static unsigned status_of(struct world *w, enum http_method method, const char *path,
                          const char *body, const char *words)
{
    struct reader reader;
    ask(&reader, w, method, path, body);
    await_end(&reader);
    unsigned status = reader.status;
    assert_non_null(strstr(reader.text.ptr, words));
    close_reader(&reader);
    return status;
}

static void test_changes_wait_and_are_refused_at_last(void **state)
{
    struct world *w = *state;
    int64_t id = put_model(w, "model");
    settle(w);
    auto_free char *path = mem_printf("/v2/models/%lld", (long long)id);
    assert_int_equal(control_store_wait_ms(w->control), 0);
    sqlite3 *other = stall(w, id);
    struct reader early;
    ask(&early, w, HTTP_PUT, path, "{\"description\":\"early\"}");
    assert_int_equal(status_of(w, HTTP_GET, "/v2/models", "", "\"model\""), 200);
    skew_ms += CONTROL_REFUSE_MS;
    assert_int_equal(status_of(w, HTTP_GET, "/v2/models", "", "\"model\""), 200);
    assert_int_equal(status_of(w, HTTP_PUT, path, "{\"description\":\"late\"}",
                               "the database has taken no write for 9"),
                     503);
    assert_int_equal(status_of(w, HTTP_DELETE, path, "", "\"reason\""), 503);
    assert_non_null(early.call); /* it waits */
    go_on(other);
    await_end(&early);
    assert_int_equal(early.status, 200);
    close_reader(&early);
    settle(w); /* what it made the reconciler do is written, too */
    assert_int_equal(control_store_wait_ms(w->control), 0);
    assert_int_equal(status_of(w, HTTP_PUT, path, "{\"categories\":[\"llm\"]}",
                               "\"description\":\"early\""),
                     200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes_wait_and_are_refused_at_last, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
