/* SPDX-License-Identifier: Apache-2.0 */
/* What a request meets on its way to an engine and back: other instances, queues, other names for
 * the model, usage in streams, forms, large bodies, paths of the model's own. */
#include "world.h"

/* A request that breaks an engine must not break the next one. */
static void test_a_reset_is_not_repeated(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_RESET;
    w.engines[1].mode = ENGINE_RESET;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_endpoint(&w, 8, w.engines[1].port, "here");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 502);
    assert_int_equal(w.engines[0].requests + w.engines[1].requests, 1);
    answer_fini(&a);
    world_fini(&w);
}

/* The last one's own words are what the client gets. */
static void test_all_are_busy(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = w.engines[1].mode = ENGINE_BUSY;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_endpoint(&w, 8, w.engines[1].port, "here");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    assert_string_equal(a.body.ptr, "busy");
    assert_int_equal(w.engines[0].requests + w.engines[1].requests, 2);
    answer_fini(&a);
    world_fini(&w);
}

static const struct {
    const char *request, *engine_body, *engine, *client;
} streams[] = {
    /* The client didn't ask for usage: the gateway does, and keeps the chunk. */
    {"{\"model\":\"hello\",\"stream\":true}",
     "{\"stream_options\":{\"include_usage\":true},\"model\":\"hello\",\"stream\":true}",
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n"
     "data: [DONE]\n\n",
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"},
    {"{\"stream_options\" : {} ,\"model\":\"hello\",\"stream\":true}",
     "{\"stream_options\" : {\"include_usage\":true} ,\"model\":\"hello\",\"stream\":true}",
     "data: [DONE]\n\n", "data: [DONE]\n\n"},
    {"{\"stream_options\":{\"x\":1},\"model\":\"hello\",\"stream\":true}",
     "{\"stream_options\":{\"include_usage\":true,\"x\":1},\"model\":\"hello\",\"stream\":true}",
     "data: [DONE]\n\n", "data: [DONE]\n\n"},
    {"{\"stream_options\":null,\"model\":\"hello\",\"stream\":true}",
     "{\"stream_options\":{\"include_usage\":true},\"model\":\"hello\",\"stream\":true}",
     "data: [DONE]\n\n", "data: [DONE]\n\n"},
    {"{\"stream_options\":{\"include_usage\":false},\"model\":\"hello\",\"stream\":true}",
     "{\"stream_options\":{\"include_usage\":true},\"model\":\"hello\",\"stream\":true}",
     "data: [DONE]\n\n", "data: [DONE]\n\n"},
    /* No stream: nothing is put in, whatever the options say. */
    {"{\"stream_options\":{},\"model\":\"hello\"}",
     "{\"stream_options\":{},\"model\":\"hello\"}",
     "data: [DONE]\n\n", "data: [DONE]\n\n"},
    /* The client asked: the chunk is its own. There are no two tokens to measure between. */
    {"{\"model\":\"hello\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
     "{\"model\":\"hello\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n"
     "data: [DONE]\n\n",
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n"
     "data: [DONE]\n\n"},
};

static void test_usage_in_streams(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_SCRIPT;
    w.engines[0].type = "text/event-stream";
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        w.engines[0].script = streams[i].engine;
        ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, streams[i].request);
        assert_int_equal(a.status, 200);
        assert_string_equal(w.engines[0].body.ptr, streams[i].engine_body);
        assert_string_equal(a.body.ptr, streams[i].client);
        answer_fini(&a);
    }
    world_fini(&w);
}

static void test_engine_knows_another_name(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_line(&w,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"endpoint\",\"id\":7,\"name\":\"hello-7\","
              "\"model_id\":2,\"host\":\"127.0.0.1\",\"port\":%u,\"local_port\":%u,"
              "\"netns_id\":\"here\",\"token\":\"t\",\"served_name\":\"old/\\\"name\"}",
              w.engines[0].port, w.engines[0].port);
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"route\",\"id\":1,\"name\":\"alias\","
                  "\"targets\":[{\"model_id\":2,\"weight\":1}],\"fallback_model_id\":0}");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, "{ \"model\" : \"alias\", \"stream\":true}");
    assert_string_equal(w.engines[0].body.ptr,
                        "{\"stream_options\":{\"include_usage\":true}, \"model\" : "
                        "\"old/\\\"name\", \"stream\":true}");
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/v1/models", ADMIN_KEY, NULL);
    expect_in(&a.body, "{\"id\":\"alias\"");
    answer_fini(&a);
    world_fini(&w);
}

static void test_requests_wait_for_an_instance(void **state)
{
    struct world w;
    struct answer a[3];
    world_init(&w);
    w.settings.queue_timeout_ms = WAIT_MS;
    world_start(&w, 1);
    for (int i = 0; i < 3; i++) /* two may wait */
        ask_start(&w, &a[i], HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a[0].is_ended || a[1].is_ended || a[2].is_ended);
    int full = a[0].is_ended ? 0 : a[1].is_ended ? 1 : 2;
    assert_int_equal(a[full].status, 503);
    expect_in(&a[full].body, "\"code\":\"queue_full\"");
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    WAIT_UNTIL(&w, a[0].is_ended && a[1].is_ended && a[2].is_ended);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a[i].status, i == full ? 503 : 200);
        answer_fini(&a[i]);
    }
    world_fini(&w);
}

static void test_waiting_has_an_end(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.settings.queue_timeout_ms = 20;
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    expect_in(&a.body, "\"code\":\"no_instance_ready\"");
    answer_fini(&a);
    world_fini(&w);
}

static const char STOPPED[] = "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,"
                              "\"name\":\"hello\",\"created_ms\":0,\"is_stopped\":true}";

/* Waits until a request waits. */
static void await_queue(struct world *w)
{
    bool is_waiting = false;
    while (!is_waiting) {
        struct answer a;
        ask(w, &a, HTTP_GET, "/metrics", ADMIN_KEY, "");
        is_waiting = strstr(a.body.ptr, "gpustack_gateway_queue_depth 1\n") != NULL;
        answer_fini(&a);
    }
}

/* A request that waits for an instance of the model. */
static void start_waiting(struct world *w, struct answer *a, const char *body)
{
    w->settings.queue_timeout_ms = WAIT_MS;
    world_start(w, 1);
    ask_start(w, a, HTTP_POST, CHAT, ADMIN_KEY, body);
    await_queue(w);
}

static void test_a_model_is_stopped_meanwhile(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    start_waiting(&w, &a, HELLO);
    feed_line(&w, STOPPED);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 503);
    expect_in(&a.body, "is stopped");
    answer_fini(&a);
    world_fini(&w);
}

static void test_a_key_is_revoked_meanwhile(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    start_waiting(&w, &a, HELLO);
    feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"key\",\"id\":1}");
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 401);
    assert_int_equal(w.engines[0].requests, 0);
    answer_fini(&a);
    world_fini(&w);
}

/* Refused then, a request gives back what it has of the limits. */
static void test_a_model_is_deleted_meanwhile(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"user\",\"id\":1,\"username\":\"admin\","
                  "\"is_admin\":true,\"is_active\":true,\"require_password_change\":false,"
                  "\"concurrent_requests\":1}");
    start_waiting(&w, &a, HELLO);
    feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"model\",\"id\":2}");
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 404);
    answer_fini(&a);
    feed_line(&w, STOPPED);
    ask_until(&w, 503, HTTP_POST, CHAT, HELLO);
    world_fini(&w);
}

static void test_a_route_is_moved_meanwhile(void **state)
{
    static const char route[] = "{\"op\":\"put\",\"seq\":5,\"kind\":\"route\",\"id\":1,"
                                "\"name\":\"r\",\"targets\":[{\"model_id\":%d,\"weight\":1}]}";
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_line(&w, route, 3);
    start_waiting(&w, &a, "{\"model\":\"r\"}");
    feed_line(&w, route, 2);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 200);
    answer_fini(&a);
    world_fini(&w);
}

/* Nobody waits for what isn't meant to come. */
static void test_a_stopped_model(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_line(&w, STOPPED);
    w.settings.queue_timeout_ms = WAIT_MS;
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    expect_in(&a.body, "the model 'hello' is stopped: no instance of it is meant to run");
    answer_fini(&a);
    world_fini(&w);
}

static void test_late_first_byte(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_HOLD;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","
                  "\"created_ms\":0,\"first_byte_timeout_ms\":20}");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 504);
    expect_in(&a.body, "\"code\":\"engine_timeout\"");
    answer_fini(&a);
    ask(&w, &a, HTTP_POST, "/v1/messages", ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 504);
    expect_in(&a.body, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\"");
    expect_in(&a.body, "\"request_id\":\"rid-1\"}");
    answer_fini(&a);
    world_fini(&w);
}

/* While a body still comes, the engine waits too: the time for its first byte is yet to begin. */
static void test_no_late_first_byte_during_an_upload(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","
                  "\"created_ms\":0,\"generic_proxy\":true,\"first_byte_timeout_ms\":1}");
    world_start(&w, 1);
    ask_streamed(&w, &a, "/model/proxy/hello/upload", -1);
    http_call_write(a.call, STR("sou"));
    WAIT_UNTIL(&w, w.engines[0].body.len == 3);
    int64_t late_ms = clock_mono_ms(&clock_system) + 20;
    WAIT_UNTIL(&w, clock_mono_ms(&clock_system) > late_ms);
    assert_false(a.is_ended);
    http_call_write(a.call, STR("nd"));
    w.engines[0].mode = ENGINE_HOLD;
    http_call_finish(a.call);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 504);
    answer_fini(&a);
    world_fini(&w);
}

static void test_a_models_own_paths(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, "/model/proxy/hello/infill?x=1", ADMIN_KEY, "anything");
    assert_int_equal(a.status, 403);
    expect_in(&a.body, "\"code\":\"proxy_not_enabled\"");
    answer_fini(&a);
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","
                  "\"created_ms\":0,\"generic_proxy\":true}");
    ask_until(&w, 200, HTTP_POST, "/model/proxy/hello/infill?x=1", "anything");
    expect_in(&w.engines[0].head, "POST /infill?x=1\n");
    assert_string_equal(w.engines[0].body.ptr, "anything");
    ask(&w, &a, HTTP_POST, "/model/proxy/hello/infill", ADMIN_KEY, "anything");
    expect_in(&a.head, "Content-Security-Policy: sandbox\n");
    expect_in(&a.head, "X-Content-Type-Options: nosniff\n");
    answer_fini(&a);
    ask_streamed(&w, &a, "/model/proxy/hello/infill", BODY_MAX + 1);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 413);
    answer_fini(&a);
    ask(&w, &a, HTTP_POST, "/model/proxy/hello/sleep", ADMIN_KEY, "");
    assert_int_equal(a.status, 404);
    answer_fini(&a);
    ask(&w, &a, HTTP_POST, "/model/proxy/hello/infill", LIMITED_KEY, "");
    assert_int_equal(a.status, 403);
    answer_fini(&a);
    world_fini(&w);
}

static void test_forms(void **state)
{
    static const char form[] = "--b\r\nContent-Disposition: form-data; name=\"file\"; "
                               "filename=\"a\"\r\n\r\nsound\r\n--b\r\n"
                               "Content-Disposition: form-data; name=\"model\"\r\n\r\n"
                               "hello\r\n--b--\r\n";
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    struct http_call_params params = answer_init(&w, &a, "/v1/audio/transcriptions", ADMIN_KEY);
    a.headers[params.header_count++] =
        (struct http_header){STR("Content-Type"), STR("multipart/form-data; boundary=b")};
    params.body = http_body_of(str_of(form));
    a.call = http_call_start(w.pool, &params, &answer_ops, &a);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 200);
    assert_string_equal(w.engines[0].body.ptr, form);
    answer_fini(&a);
    world_fini(&w);
}

static void test_silent_streams_get_signs_of_life(void **state)
{
    static const struct {
        const char *path, *sign;
    } cases[] = {
        {CHAT, "data: 1\n\n: keep-alive\n\n: keep-alive\n\n"},
        {"/v1/messages", "data: 1\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping\n"},
    };
    struct world w;
    struct answer a;
    world_init(&w);
    w.settings.sse_keepalive_ms = 10;
    w.engines[0].mode = ENGINE_EVENTS;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask_start(&w, &a, HTTP_POST, cases[i].path, ADMIN_KEY, HELLO);
        WAIT_UNTIL(&w, a.body.ptr && strstr(a.body.ptr, cases[i].sign));
        answer_fini(&a);
    }
    world_fini(&w);
}

/* What is larger than a body in memory may be lies in a file meanwhile. */
static void test_large_body(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    auto_free char *body = mem_alloc(BODY_MAX);
    memset(body, ' ', BODY_MAX - 1);
    memcpy(body + BODY_MAX - 20, "{\"model\":\"hello\"}", 17);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, body);
    assert_int_equal(a.status, 200);
    assert_int_equal(w.engines[0].body.len, BODY_MAX - 1);
    assert_memory_equal(w.engines[0].body.ptr, body, BODY_MAX - 1);
    answer_fini(&a);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reset_is_not_repeated),
        cmocka_unit_test(test_all_are_busy),
        cmocka_unit_test(test_usage_in_streams),
        cmocka_unit_test(test_engine_knows_another_name),
        cmocka_unit_test(test_requests_wait_for_an_instance),
        cmocka_unit_test(test_waiting_has_an_end),
        cmocka_unit_test(test_a_key_is_revoked_meanwhile),
        cmocka_unit_test(test_a_model_is_deleted_meanwhile),
        cmocka_unit_test(test_a_route_is_moved_meanwhile),
        cmocka_unit_test(test_a_stopped_model),
        cmocka_unit_test(test_a_model_is_stopped_meanwhile),
        cmocka_unit_test(test_late_first_byte),
        cmocka_unit_test(test_no_late_first_byte_during_an_upload),
        cmocka_unit_test(test_a_models_own_paths),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_silent_streams_get_signs_of_life),
        cmocka_unit_test(test_large_body),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
