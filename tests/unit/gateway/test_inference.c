/* SPDX-License-Identifier: Apache-2.0 */
/* Inference through a whole gateway: replies, streams, refusals, failing engines, changes by the
 * feed. */
#include "world.h"

static void test_chat(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, "/v1-openai/chat/completions?x=1", ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.ptr, "{\"engine\":0}");
    expect_in(&a.head, "X-Request-Id: rid-1\n");
    assert_string_equal(w.engines[0].body.ptr, HELLO);
    expect_in(&w.engines[0].head, "POST /v1/chat/completions\n");
    expect_in(&w.engines[0].head, "Authorization: Bearer token-7\n");
    expect_in(&w.engines[0].head, "X-Request-Id: rid-1\n");
    expect_not_in(&w.engines[0].head, "gpustack_");
    expect_not_in(&w.engines[0].head, "X-GPUStack");
    answer_fini(&a);
    world_fini(&w);
}

static void test_session_and_relay(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "elsewhere");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, "/v1/embeddings", "gpustack_session=cookie", HELLO);
    assert_int_equal(a.status, 200);
    expect_in(&w.engines[0].head, "POST /proxy/v1/embeddings\n");
    expect_in(&w.engines[0].head, "Authorization: Bearer token-7\n");
    expect_in(&w.engines[0].head, "X-GPUStack-Model-Instance: 7\n");
    expect_not_in(&w.engines[0].head, "Instance: 99");
    expect_not_in(&w.engines[0].head, "ookie");
    answer_fini(&a);
    world_fini(&w);
}

static const struct {
    enum http_method method;
    const char *path, *credential, *body;
    unsigned status;
    const char *answer; /* the whole body */
    const char *header; /* one that must be there */
} refusals[] = {
    {HTTP_POST, CHAT, NULL, HELLO, 401,
     "{\"error\":{\"message\":\"no API key was sent; send it as \\\"Authorization: Bearer "
     "KEY\\\"\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\",\"param\":null}}",
     "WWW-Authenticate: Bearer\n"},
    {HTTP_POST, CHAT, "Bearer gpustack_cccccccccccccccc_" SECRET, HELLO, 401,
     "{\"error\":{\"message\":\"the API key is not valid or has expired\",\"type\":"
     "\"invalid_request_error\",\"code\":\"invalid_api_key\",\"param\":null}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_POST, CHAT, LIMITED_KEY, HELLO, 403,
     "{\"error\":{\"message\":\"the API key may not use the model 'hello'\",\"type\":"
     "\"permission_error\",\"code\":\"model_not_allowed\",\"param\":\"model\"}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_POST, CHAT, LIMITED_KEY, "{\"model\":\"nope\"}", 404,
     "{\"error\":{\"message\":\"the model 'nope' does not exist\",\"type\":"
     "\"invalid_request_error\",\"code\":\"model_not_found\",\"param\":\"model\"}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_POST, CHAT, ADMIN_KEY, "{\"model\":\"empty\"}", 503,
     "{\"error\":{\"message\":\"the model 'empty' has no instance that is ready now\",\"type\":"
     "\"server_error\",\"code\":\"no_instance_ready\",\"param\":\"model\"}}",
     "Retry-After: 5\n"},
    {HTTP_POST, CHAT, ADMIN_KEY, "{\"model\":1}", 400,
     "{\"error\":{\"message\":\"model must be a string\",\"type\":\"invalid_request_error\","
     "\"code\":\"invalid_body\",\"param\":null}}",
     "Content-Type: application/json\n"},
    {HTTP_POST, CHAT, ADMIN_KEY, "{}", 400,
     "{\"error\":{\"message\":\"the body must name a model: {\\\"model\\\": \\\"NAME\\\", "
     "...}\",\"type\":\"invalid_request_error\",\"code\":\"invalid_body\",\"param\":null}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_GET, CHAT, ADMIN_KEY, NULL, 405,
     "{\"error\":{\"message\":\"GET is not allowed here, only POST\",\"type\":"
     "\"invalid_request_error\",\"code\":\"method_not_allowed\",\"param\":null}}",
     "Allow: POST\n"},
    {HTTP_POST, "/v1/sleep", ADMIN_KEY, HELLO, 404,
     "{\"error\":{\"message\":\"there is nothing at /v1/sleep\",\"type\":"
     "\"invalid_request_error\",\"code\":\"unknown_url\",\"param\":null}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_GET, "/v1/models/nope", ADMIN_KEY, NULL, 404,
     "{\"error\":{\"message\":\"the model 'nope' does not exist\",\"type\":"
     "\"invalid_request_error\",\"code\":\"model_not_found\",\"param\":\"model\"}}",
     "X-Request-Id: rid-1\n"},
    {HTTP_GET, "/nothing", NULL, NULL, 404,
     "{\"code\":404,\"reason\":\"NotFound\",\"message\":\"there is nothing at /nothing\"}",
     "Content-Type: application/json\n"},
    {HTTP_POST, "/healthz", NULL, "", 405,
     "{\"code\":405,\"reason\":\"MethodNotAllowed\",\"message\":\"POST is not allowed here, only "
     "GET, HEAD\"}",
     "Allow: GET, HEAD\n"},
};

static void test_refusals(void **state)
{
    struct world w;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct answer a;
        ask(&w, &a, refusals[i].method, refusals[i].path, refusals[i].credential, refusals[i].body);
        assert_string_equal(a.body.ptr, refusals[i].answer);
        assert_int_equal(a.status, refusals[i].status);
        expect_in(&a.head, refusals[i].header);
        answer_fini(&a);
    }
    assert_int_equal(w.engines[0].requests, 0);
    world_fini(&w);
}

static void test_models(void **state)
{
    static const char one[] =
        "{\"id\":\"hello\",\"object\":\"model\",\"created\":7,\"owned_by\":\"gpustack\"}";
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    auto_free char *list = mem_printf("{\"object\":\"list\",\"data\":[%s]}", one);
    ask(&w, &a, HTTP_GET, "/v1/models", ADMIN_KEY, NULL);
    assert_string_equal(a.body.ptr, list);
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/v1/models", LIMITED_KEY, NULL);
    assert_string_equal(a.body.ptr, "{\"object\":\"list\",\"data\":[]}");
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/v1-openai/models/hell%6f", ADMIN_KEY, NULL);
    assert_string_equal(a.body.ptr, one);
    answer_fini(&a);
    ask(&w, &a, HTTP_GET, "/v1/models", NULL, NULL);
    assert_int_equal(a.status, 401);
    answer_fini(&a);
    world_fini(&w);
}

static void test_size_limit(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    auto_free char *body = mem_alloc(BODY_MAX + 2);
    memset(body, ' ', BODY_MAX + 1);
    memcpy(body, "{\"model\":\"hello\"}", 17);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, body);
    assert_int_equal(a.status, 413);
    assert_string_equal(
        a.body.ptr, "{\"error\":{\"message\":\"the body is larger than 9437184 bytes, the most "
                    "that is taken\",\"type\":\"invalid_request_error\",\"code\":"
                    "\"request_too_large\",\"param\":null}}");
    answer_fini(&a);
    body[BODY_MAX] = '\0';
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, body);
    assert_int_equal(a.status, 200);
    assert_int_equal(w.engines[0].body.len, BODY_MAX);
    answer_fini(&a);
    world_fini(&w);
}

/* What is announced as too large is refused before it is sent. */
static void test_size_limit_of_announced(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 1);
    ask_streamed(&w, &a, CHAT, BODY_MAX + 1);
    WAIT_UNTIL(&w, a.status != 0 || a.is_ended);
    assert_int_equal(a.status, 413);
    answer_fini(&a);
    world_fini(&w);
}

/* Without a length the limit shows only while the body comes. */
static void try_chunks(const char *path)
{
    static char piece[64 << 10];
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_line(&w, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","
                  "\"created_ms\":0,\"generic_proxy\":true}");
    world_start(&w, 1);
    memset(piece, ' ', sizeof piece);
    ask_streamed(&w, &a, path, -1);
    for (size_t sent = 0; a.call && sent <= BODY_MAX; sent += sizeof piece)
        while (a.call && http_call_write(a.call, str_sub(piece, sizeof piece)) > HTTP_HIGH_WATER)
            loop_run(w.loop);
    WAIT_UNTIL(&w, a.status != 0 || a.is_ended);
    assert_int_equal(a.status, 413);
    answer_fini(&a);
    world_fini(&w);
}

static void test_size_limit_of_chunks(void **state)
{
    try_chunks(CHAT);
    try_chunks("/model/proxy/hello/upload");
}

static void test_stream_piece_by_piece(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_EVENTS;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, "{\"model\":\"hello\",\"stream\":true}");
    WAIT_UNTIL(&w, a.body.len > 0);
    assert_string_equal(a.body.ptr, "data: 1\n\n");
    http_reply_write(w.engines[0].ex, STR("data: 2\n\n"));
    WAIT_UNTIL(&w, a.body.len > 9);
    assert_string_equal(a.body.ptr, "data: 1\n\ndata: 2\n\n");
    assert_false(a.is_ended);
    http_reply_write(w.engines[0].ex, STR("data: [DONE]\n\n"));
    http_reply_end(w.engines[0].ex);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, 0);
    assert_string_equal(a.body.ptr, "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
    expect_in(&a.head, "Content-Type: text/event-stream; charset=utf-8\n");
    answer_fini(&a);
    world_fini(&w);
}

static void test_cut_stream_ends_with_an_error(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_EVENTS;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a.body.len > 0);
    http_exchange_abort(w.engines[0].ex);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, 0);
    expect_in(&a.body,
              "data: 1\n\ndata: {\"error\":{\"message\":\"the engine broke the response off: ");
    expect_in(&a.body, "\"code\":\"engine_failed\",\"param\":null}}\n\n");
    answer_fini(&a);

    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a.body.len > 0);
    http_reply_write(w.engines[0].ex, STR("data: {\"ha")); /* half an event is none */
    http_reply_end(w.engines[0].ex);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, 0);
    expect_in(&a.body, "data: 1\n\ndata: {\"error\":{\"message\":\"the engine broke the response "
                       "off: its stream ended without a last event\"");
    answer_fini(&a);
    world_fini(&w);
}

static void test_cut_answer_is_cut(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_TEXT;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a.body.len > 0);
    http_exchange_abort(w.engines[0].ex);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.error, ERR_CLOSED);
    assert_string_equal(a.body.ptr, "half");
    answer_fini(&a);
    world_fini(&w);
}

static void test_other_endpoint_takes_over(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_BUSY;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    feed_endpoint(&w, 8, w.engines[1].port, "here");
    feed_endpoint(&w, 9, 1, "here"); /* nobody listens on port 1 */
    world_start(&w, 1);
    for (int i = 0; i < 4; i++) {
        ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body.ptr, "{\"engine\":1}");
        assert_string_equal(w.engines[1].body.ptr, HELLO);
        answer_fini(&a);
    }
    assert_true(w.engines[0].requests > 0);
    assert_int_equal(w.engines[1].requests, 4);
    world_fini(&w);
}

static void test_no_endpoint_answers(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_RESET;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 502);
    expect_in(&a.body, "the instance hello-7 of the model 'hello' did not answer: ");
    expect_in(&a.body, "\"code\":\"engine_failed\"");
    answer_fini(&a);

    feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"endpoint\",\"id\":7}");
    feed_endpoint(&w, 9, 1, "here"); /* nobody listens on port 1 */
    ask_until(&w, 503, HTTP_POST, CHAT, HELLO);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    expect_in(&a.body, "\"code\":\"engine_unreachable\"");
    expect_in(&a.head, "Retry-After: 5\n");
    answer_fini(&a);
    world_fini(&w);
}

static void test_client_gone_frees_the_engine(void **state)
{
    static const enum engine_mode modes[] = {ENGINE_HOLD, ENGINE_EVENTS};
    struct world w;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        struct answer a;
        w.engines[0].mode = modes[i];
        ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
        WAIT_UNTIL(&w, w.engines[0].requests == i + 1);
        answer_fini(&a);
        WAIT_UNTIL(&w, w.engines[0].gone == i + 1);
    }
    world_fini(&w);
}

/* Whether the page of metrics tells of a request that ended so. */
static void expect_outcome(struct world *w, const char *labels)
{
    struct answer a;
    ask(w, &a, HTTP_GET, "/metrics", ADMIN_KEY, "");
    assert_int_equal(a.status, 200);
    expect_in(&a.body, labels);
    answer_fini(&a);
}

/* Clients read until [DONE] and may close the connection then, before the response's end. */
static void test_client_gone_behind_the_last_event(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    w.engines[0].mode = ENGINE_EVENTS;
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a.body.len > 0);
    size_t len = a.body.len;
    http_reply_write(w.engines[0].ex, STR("data: [DONE]\n\n"));
    WAIT_UNTIL(&w, a.body.len > len);
    answer_fini(&a);
    WAIT_UNTIL(&w, w.engines[0].gone == 1);
    expect_outcome(&w, "code=\"200\",outcome=\"ok\"} 1\n");

    ask_start(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    WAIT_UNTIL(&w, a.body.len > 0);
    answer_fini(&a);
    WAIT_UNTIL(&w, w.engines[0].gone == 2);
    expect_outcome(&w, "code=\"200\",outcome=\"aborted\"} 1\n");
    world_fini(&w);
}

static void test_feed_changes_routes(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    world_start(&w, 2);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    answer_fini(&a);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    ask_until(&w, 200, HTTP_POST, CHAT, HELLO);
    feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"endpoint\",\"id\":7}");
    ask_until(&w, 503, HTTP_POST, CHAT, HELLO);
    feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"key\",\"id\":1}");
    ask_until(&w, 401, HTTP_POST, CHAT, HELLO);
    world_fini(&w);
}

static void test_bad_line_opens_the_feed_anew(void **state)
{
    struct world w;
    world_init(&w);
    world_start(&w, 1);
    assert_int_equal(w.feeds, 1);
    http_reply_write(w.feed,
                     STR("nonsense\n{\"op\":\"del\",\"seq\":5,\"kind\":\"key\",\"id\":1}\n"));
    ask_until(&w, 401, HTTP_POST, CHAT, HELLO); /* the line behind it was taken */
    WAIT_UNTIL(&w, w.feeds == 2);
    ask_until(&w, 503, HTTP_POST, CHAT, HELLO); /* and the whole state came again */
    world_fini(&w);
}

static void test_serves_without_control(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 1);
    control_down(&w);
    ask_until(&w, 503, HTTP_GET, "/readyz", NULL);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 200);
    answer_fini(&a);
    control_up(&w);
    ask_until(&w, 200, HTTP_GET, "/readyz", NULL);
    world_fini(&w);
}

static void test_nothing_known_yet(void **state)
{
    struct world w;
    struct answer a;
    world_init(&w);
    control_down(&w);
    gateway_up(&w, 1);
    ask(&w, &a, HTTP_POST, CHAT, ADMIN_KEY, HELLO);
    assert_int_equal(a.status, 503);
    expect_in(&a.body, "\"code\":\"gateway_not_ready\"");
    expect_in(&a.head, "Retry-After: 1\n");
    answer_fini(&a);
    world_fini(&w);
}

/* Two threads, many requests at once, endpoints that come and go: for the thread sanitizer. */
static void test_load_with_changes(void **state)
{
    enum { ROUNDS = 20, AT_ONCE = 16 };
    struct world w;
    struct answer answers[AT_ONCE];
    world_init(&w);
    feed_endpoint(&w, 7, w.engines[0].port, "here");
    world_start(&w, 2);
    ask_until(&w, 200, HTTP_POST, CHAT, HELLO);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            ask_start(&w, &answers[i], HTTP_POST, CHAT, ADMIN_KEY, HELLO);
        if (round % 2)
            feed_line(&w, "{\"op\":\"del\",\"seq\":5,\"kind\":\"endpoint\",\"id\":8}");
        else
            feed_endpoint(&w, 8, w.engines[1].port, "here");
        for (int i = 0; i < AT_ONCE; i++) {
            WAIT_UNTIL(&w, answers[i].is_ended);
            /* The second thread may still be without its first state. */
            assert_true(answers[i].status == 200 || (round == 0 && answers[i].status == 503));
            answer_fini(&answers[i]);
        }
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_session_and_relay),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_size_limit_of_announced),
        cmocka_unit_test(test_size_limit_of_chunks),
        cmocka_unit_test(test_stream_piece_by_piece),
        cmocka_unit_test(test_cut_stream_ends_with_an_error),
        cmocka_unit_test(test_cut_answer_is_cut),
        cmocka_unit_test(test_other_endpoint_takes_over),
        cmocka_unit_test(test_no_endpoint_answers),
        cmocka_unit_test(test_client_gone_frees_the_engine),
        cmocka_unit_test(test_client_gone_behind_the_last_event),
        cmocka_unit_test(test_feed_changes_routes),
        cmocka_unit_test(test_bad_line_opens_the_feed_anew),
        cmocka_unit_test(test_serves_without_control),
        cmocka_unit_test(test_nothing_known_yet),
        cmocka_unit_test(test_load_with_changes),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
