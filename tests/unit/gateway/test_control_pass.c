/* SPDX-License-Identifier: Apache-2.0 */
/* What passes through to control, what the gateway answers itself, and the drain. */
#include "world.h"

static void test_passes_through(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 1);
    ask(&w, &a, HTTP_PATCH, "/v2/models/1?x=%20y", "gpustack_session=cookie", "{}");
    assert_int_equal(a.status, 201);
    assert_string_equal(a.body.ptr, "{\"from\":\"control\"}");
    expect_in(&w.control_head, "PATCH /v2/models/1?x=%20y\n");
    expect_in(&w.control_head, "Cookie: gpustack_session=cookie\n");
    expect_in(&w.control_head, "X-Forwarded-For: 127.0.0.1\n");
    expect_in(&w.control_head, "X-Forwarded-Host: 127.0.0.1");
    expect_not_in(&w.control_head, "X-GPUStack");
    answer_fini(&a);
    ask(&w, &a, HTTP_POST, "/auth/login", ADMIN_KEY, "{}");
    assert_int_equal(a.status, 201);
    expect_in(&w.control_head, "Authorization: " ADMIN_KEY);
    answer_fini(&a);
    world_fini(&w);
}

static void test_watch_streams(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_GET, "/v2/watch", ADMIN_KEY, NULL);
    WAIT_UNTIL(&w, a.body.len > 0);
    assert_string_equal(a.body.ptr, "{\"first\":1}\n");
    http_reply_write(w.watch, STR("more\n"));
    WAIT_UNTIL(&w, a.body.len > 12);
    assert_string_equal(a.body.ptr, "{\"first\":1}\nmore\n");
    answer_fini(&a);
    WAIT_UNTIL(&w, !w.watch); /* the client's end reaches control */
    world_fini(&w);
}

static void test_control_down(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_GET, "/v2/watch", ADMIN_KEY, NULL);
    WAIT_UNTIL(&w, a.body.len > 0);
    control_down(&w);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, ERR_CLOSED); /* not a clean end */
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/v2/models", ADMIN_KEY, NULL);
    assert_int_equal(a.status, 503);
    expect_in(&a.head, "Retry-After: 1\n");
    expect_in(&a.body,
              "{\"code\":503,\"reason\":\"ServiceUnavailable\",\"message\":\"the management "
              "API can't be reached now: ");
    answer_fini(&a);
    world_fini(&w);
}

static void test_own_pages(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    control_down(&w);
    gateway_up(&w, 1);
    ask(&w, &a, HTTP_GET, "/healthz", NULL, NULL);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, "ok");
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/readyz", NULL, NULL);
    assert_int_equal(a.status, 503);
    assert_string_equal(a.body.ptr, "no state was received from control yet");
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/", NULL, NULL);
    assert_int_equal(a.status, 200);
    expect_in(&a.head, "Content-Type: text/html; charset=utf-8\n");
    expect_in(&a.body, "gpustack " GPUSTACK_VERSION);
    answer_fini(&a);
    control_up(&w);
    ask_until(&w, 200, HTTP_GET, "/readyz", NULL);
    world_fini(&w);
}

static void note_drained(void *ctx)
{
    struct world *world = ctx;
    world->is_drained = true;
}

/* Running requests finish, watches are ended, nothing new is taken. */
static void test_drain(void **state)
{
    struct world w;
    struct answer watch, chat, late;
    world_init(&w);
    w.engines[0].mode = ENGINE_EVENTS;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 2);
    ask_until(&w, 200, HTTP_GET, "/v1/models/hello", NULL);
    ask_start(&w, &watch, HTTP_GET, "/v2/watch", ADMIN_KEY, NULL);
    WAIT_UNTIL(&w, watch.body.len > 0);
    do { /* a thread may not have its state yet */
        ask_start(&w, &chat, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
        WAIT_UNTIL(&w, chat.body.len > 0);
    } while (chat.status != 200 && (answer_fini(&chat), true));

    gateway_drain(w.gateway, WAIT_MS, note_drained, &w);
    WAIT_UNTIL(&w, watch.is_ended);
    assert_int_equal(watch.error, 0);
    do { /* each thread closes its listener by itself */
        ask(&w, &late, HTTP_GET, "/healthz", NULL, NULL);
    } while (late.error != -ECONNREFUSED && (answer_fini(&late), true));
    assert_false(chat.is_ended);
    assert_false(w.is_drained);
    http_reply_end(w.engines[0].ex);
    WAIT_UNTIL(&w, chat.is_ended);
    assert_int_equal(chat.error, 0);
    WAIT_UNTIL(&w, w.is_drained);
    answer_fini(&watch);
    answer_fini(&chat);
    answer_fini(&late);
    world_fini(&w);
}

static void test_drain_ends_in_time(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_HOLD;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, w.engines[0].requests == 1);
    gateway_drain(w.gateway, 1, note_drained, &w);
    WAIT_UNTIL(&w, w.is_drained);
    assert_false(a.is_ended);
    gateway_free(TAKE(w.gateway));
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, -ECONNREFUSED); /* broken off; the client's second try found no one */
    answer_fini(&a);
    world_fini(&w);
}

static void test_port_in_use(void **state)
{
    struct world w;
    struct gateway *second = NULL;
    struct err err = {0};
    world_init(&w);
    world_start(&w, 2);
    struct gateway_params params = {.loop = w.loop,
                                    .host = "127.0.0.1",
                                    .threads = 2,
                                    .port = gateway_port(w.gateway),
                                    .token = "cluster",
                                    .netns_id = ""};
    auto_free char *port = mem_printf("%u", params.port);
    assert_int_equal(gateway_new(&params, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, port));
    assert_null(second);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_through), cmocka_unit_test(test_watch_streams),
        cmocka_unit_test(test_control_down),   cmocka_unit_test(test_own_pages),
        cmocka_unit_test(test_drain),          cmocka_unit_test(test_drain_ends_in_time),
        cmocka_unit_test(test_port_in_use),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
