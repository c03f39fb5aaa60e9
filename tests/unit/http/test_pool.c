/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "client_fixture.h"

static void test_connection_is_reused_and_the_last_one_first(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        {.bytes = OK}, {.bytes = OK}, {.bytes = OK}, {.bytes = OK}};
    struct fixture f;
    struct record a, b;
    set_up(&f, replies, 4);
    struct http_call_params params = get(&f);
    start(&f, &a, &params);
    start(&f, &b, &params);
    RUN_UNTIL(f.loop, is_over(&a) && is_over(&b));
    expect_body(&a, 200, "ok");
    expect_body(&b, 200, "ok");
    run_call(&f, &a, &params);
    expect_body(&a, 200, "ok");
    run_call(&f, &b, &params);
    expect_body(&b, 200, "ok");
    assert_int_equal(f.server.accepted, 2);
    tear_down(&f);
}

static void test_kept_connection_goes_after_its_time(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = OK}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 2);
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    pass_ms(f.loop, HTTP_POOL_IDLE_MS - 1);
    assert_int_equal(f.server.closed, 0);
    pass_ms(f.loop, 1);
    RUN_UNTIL(f.loop, f.server.closed == 1);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    assert_int_equal(f.server.accepted, 2);
    tear_down(&f);
}

static void test_connection_closed_while_kept_is_not_used(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = OK}};
    for (int turns = 0; turns < 2; turns++) {
        struct fixture f;
        struct record record;
        set_up(&f, replies, 2);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        server_close(&f.server.conns[0], false);
        /* Without a turn in between only the look at the socket can tell. */
        for (int i = 0; i < turns; i++)
            turn(f.loop);
        /* Streamed, so that there is no second try. */
        params.method = HTTP_POST;
        params.stream_body = true;
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        assert_int_equal(f.server.accepted, 2);
        tear_down(&f);
    }
}

static void test_stale_connection_is_replaced_once(void **state)
{
    (void)state;
    static const struct {
        struct reply replies[3];
        bool streamed;
        unsigned accepted;
        int code;
    } cases[] = {
        {{{.bytes = OK}, {.closes = true}, {.after = "body", .bytes = OK}}, false, 2, 0},
        {{{.bytes = OK}, {.resets = true}, {.after = "body", .bytes = OK}}, false, 2, 0},
        {{{.bytes = OK}, {.closes = true}, {.closes = true}}, false, 2, ERR_CLOSED},
        {{{.bytes = OK}, {.bytes = "HTTP/1.1 2", .closes = true}, {.bytes = OK}},
         false,
         1,
         ERR_CLOSED},
        {{{.bytes = OK}, {.closes = true}, {.bytes = OK}}, true, 1, ERR_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct record record;
        set_up(&f, cases[i].replies, 3);
        struct http_call_params params = get(&f);
        run_call(&f, &record, &params);
        expect_body(&record, 200, "ok");
        params.method = HTTP_POST;
        params.body = http_body_of(STR("body"));
        params.stream_body = cases[i].streamed;
        params.stream_length = -1;
        run_call(&f, &record, &params);
        assert_int_equal(record.code, cases[i].code);
        assert_int_equal(f.server.accepted, cases[i].accepted);
        if (cases[i].code == 0)
            expect_body(&record, 200, "ok");
        tear_down(&f);
    }
}

/* It may have died of the request, which isn't for another one then. */
static void test_who_ends_late_is_not_stale(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.after = "body"}, {.bytes = OK}};
    struct fixture f;
    struct record record;
    set_up(&f, replies, 3);
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");
    params.method = HTTP_POST;
    params.body = http_body_of(STR("body"));
    start(&f, &record, &params);
    RUN_UNTIL(f.loop, f.server.answered == 2);
    pass_ms(f.loop, 251);
    server_close(&f.server.conns[0], false);
    RUN_UNTIL(f.loop, is_over(&record));
    assert_int_equal(record.code, ERR_CLOSED);
    assert_int_equal(f.server.accepted, 1);
    tear_down(&f);
}

static void test_forgotten_target_keeps_nothing(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}, {.bytes = NULL}};
    struct fixture f;
    struct record a, b;
    set_up(&f, replies, 2);
    struct http_call_params params = get(&f);
    start(&f, &a, &params);
    start(&f, &b, &params);
    RUN_UNTIL(f.loop, is_over(&a) && f.server.answered == 2);
    http_pool_forget(f.pool, &f.target);
    RUN_UNTIL(f.loop, f.server.closed == 1);
    for (unsigned i = 0; i < 2; i++)
        if (f.server.conns[i].stream)
            server_send(&f.server.conns[i], OK);
    RUN_UNTIL(f.loop, is_over(&b) && f.server.closed == 2);
    expect_body(&a, 200, "ok");
    expect_body(&b, 200, "ok");
    tear_down(&f);
}

/* Without descriptors a connection that is only kept gives way to one that is needed. */
static void test_kept_connection_gives_its_descriptor(void **state)
{
    (void)state;
    static const struct reply replies[] = {{.bytes = OK}};
    struct fixture f, other;
    struct record record;
    set_up(&f, replies, 1);
    server_start(&other.server, f.loop, replies, 1);
    struct http_call_params params = get(&f);
    run_call(&f, &record, &params);
    expect_body(&record, 200, "ok");

    struct rlimit old, none;
    int lowest = dup(0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    f.target.port = other.server.port;
    start(&f, &record, &params);
    for (int i = 0; i < 40 && !is_over(&record); i++)
        pass_ms(f.loop, 100); /* its server, in the same process, has to wait for one, too */
    setrlimit(RLIMIT_NOFILE, &old);
    expect_body(&record, 200, "ok");
    server_stop(&other.server);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_is_reused_and_the_last_one_first),
        cmocka_unit_test(test_kept_connection_goes_after_its_time),
        cmocka_unit_test(test_connection_closed_while_kept_is_not_used),
        cmocka_unit_test(test_stale_connection_is_replaced_once),
        cmocka_unit_test(test_who_ends_late_is_not_stale),
        cmocka_unit_test(test_forgotten_target_keeps_nothing),
        cmocka_unit_test(test_kept_connection_gives_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
