/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords in the pool outlive who asked: the client, and the API itself when the role stops. */
#include "api_world.h"

#include "api/api_priv.h"

/* Asks for a user, whose password has to be hashed, and runs until that is in the pool. */
static void begin(struct reader *reader, struct world *w)
{
    struct err err = {0};
    *reader = (struct reader){.w = w, .path = mem_strdup("/v2/users")};
    reader->bearer = mem_printf("Bearer %s", w->admin_key);
    auto_free char *url = mem_printf("unix:%s/s", w->folder);
    assert_int_equal(http_target_parse(url, &reader->target, &err), 0);
    const struct http_header header = {STR("Authorization"), str_of(reader->bearer)};
    const struct http_call_params params = {
        .target = &reader->target,
        .method = HTTP_POST,
        .path = str_of(reader->path),
        .headers = &header,
        .header_count = 1,
        .body = http_body_of(STR("{\"username\":\"ann\",\"password\":\"Str0ng_Enough\"}")),
    };
    reader->call = http_call_start(w->pool, &params, &call_ops, reader);
    while (!w->api->hashes_running) {
        assert_non_null(reader->call);
        loop_post(w->loop, stop_loop, w->loop);
        run(w);
    }
}

static void test_an_answer(void **state)
{
    struct reader reader;
    begin(&reader, *state);
    await_end(&reader);
    assert_int_equal(reader.status, 200);
    assert_int_equal(reader.w->api->hashes_running, 0);
    assert_true(list_is_empty(&reader.w->api->hashes));
    close_reader(&reader);
}

static void test_the_client_leaves(void **state)
{
    struct reader reader;
    struct world *w = *state;
    begin(&reader, w);
    close_reader(&reader);
    while (w->api->hashes_running) {
        loop_post(w->loop, stop_loop, w->loop);
        run(w);
    }
    assert_true(list_is_empty(&w->api->hashes));
}

/* The world is torn down in the order of the role; the job's end comes last, from the loop. */
static void test_the_api_stops(void **state)
{
    struct reader reader;
    begin(&reader, *state);
    close_reader(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_client_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_api_stops, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
