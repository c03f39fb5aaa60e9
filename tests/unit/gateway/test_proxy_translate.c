/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to engines that don't know them, through a whole gateway: what is translated on the
 * pool's threads, which are the test's own process' and so can be held. What is translated into
 * what: test_translation.c and the tests of anthropic_*.
 */
#include "anthropic_text.h"
#include "world.h"

#include <semaphore.h>

enum { POOL = 4, LARGE = 100000 };

#define MESSAGES "/v1/messages"
#define COUNT MESSAGES "/count_tokens"
#define FRONT                                                                                      \
    "{\"model\":\"hello\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\""
#define BACK "\"}]}"
#define SMALL FRONT "hi" BACK
#define REPLY                                                                                      \
    "{\"count\":7,\"choices\":[{\"message\":{\"content\":\"ho\"},\"finish_reason\":\"stop\"}]}"

/* ---- the pool ---- */

struct pool {
    sem_t let_go, held;
};

static void hold(void *arg)
{
    struct pool *pool = arg;
    sem_post(&pool->held);
    sem_wait(&pool->let_go);
}

static void on_let_go(void *arg)
{
    (void)arg;
}

/* From now on all that is given to the pool waits. */
static void pool_hold(struct pool *pool, struct world *w)
{
    sem_init(&pool->let_go, 0, 0);
    sem_init(&pool->held, 0, 0);
    for (int i = 0; i < POOL; i++)
        loop_work(w->loop, hold, on_let_go, pool);
    for (int i = 0; i < POOL; i++)
        sem_wait(&pool->held);
}

static void pool_let_go(struct pool *pool)
{
    for (int i = 0; i < POOL; i++)
        sem_post(&pool->let_go);
}

/* ---- engines and requests ---- */

/* What the engine says to all from now on. */
static void engine_says(struct engine *engine, unsigned status, const char *script)
{
    engine->mode = ENGINE_SCRIPT;
    engine->type = "application/json";
    engine->status = status;
    engine->script = script;
}

static void start(struct world *w, const char *served_name)
{
    world_init(w);
    feed_line(w,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"endpoint\",\"id\":7,\"name\":\"hello-7\","
              "\"model_id\":2,\"host\":\"127.0.0.1\",\"port\":%u,\"local_port\":%u,"
              "\"netns_id\":\"here\",\"token\":\"token-7\",\"served_name\":\"%s\"}",
              w->engines[0].port, w->engines[0].port, served_name);
    world_start(w, 1);
}

/* Body of a request with `bytes` of text. */
static char *large_body(size_t bytes)
{
    struct buf body = repeat(FRONT, bytes, "x", BACK);
    return body.ptr;
}

static void expect_answer(struct world *w, const char *path, const char *body, unsigned status)
{
    struct answer a;
    ask(w, &a, HTTP_POST, path, ADMIN_KEY, body);
    assert_int_equal(a.status, status);
    answer_fini(&a);
}

/*
 * Starts a request of `body` at an engine of which nobody knows yet that it doesn't know Messages,
 * and waits until its translation was given to the pool.
 */
static void start_translating(struct world *w, struct answer *answer, const char *body)
{
    struct engine *engine = &w->engines[0];
    engine_says(engine, 404, "{}");
    ask_start(w, answer, HTTP_POST, MESSAGES, ADMIN_KEY, body);
    WAIT_UNTIL(w, engine->requests == 1);
    expect_answer(w, CHAT, HELLO, 404); /* its turn comes after the one for which we wait */
    engine_says(engine, 200, REPLY);
}

static void expect_metric(struct world *w, const char *line)
{
    struct answer a;
    ask(w, &a, HTTP_GET, "/metrics", ADMIN_KEY, "");
    expect_in(&a.body, line);
    answer_fini(&a);
}

/* ---- the tests ---- */

static void test_a_long_body_holds_nobody_up(void **state)
{
    struct world w;
    struct answer a;
    struct pool pool;
    auto_free char *body = large_body(LARGE);
    start(&w, "");
    pool_hold(&pool, &w);
    start_translating(&w, &a, body);
    expect_answer(&w, CHAT, HELLO, 200);
    expect_answer(&w, MESSAGES, SMALL, 200); /* a short one needs no pool */
    assert_int_equal(w.engines[0].requests, 4);
    assert_false(a.is_ended);
    pool_let_go(&pool);
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 200);
    expect_in(&a.body, "\"text\":\"ho\"");
    expect_in(&w.engines[0].head, "POST " CHAT "\n");
    assert_true(w.engines[0].body.len > LARGE);
    answer_fini(&a);
    world_fini(&w);
}

static void test_client_gone_while_it_is_translated(void **state)
{
    struct world w;
    struct answer a;
    struct pool pool;
    auto_free char *body = large_body(LARGE);
    start(&w, "");
    pool_hold(&pool, &w);
    start_translating(&w, &a, body);
    expect_metric(&w, "gpustack_gateway_requests_in_flight 1\n");
    answer_fini(&a);
    expect_answer(&w, CHAT, HELLO, 200); /* comes behind the end of the connection */
    expect_metric(&w, "gpustack_gateway_requests_in_flight 0\n");
    pool_let_go(&pool);
    expect_answer(&w, MESSAGES, body, 200); /* the pool takes this behind the other */
    assert_int_equal(w.engines[0].requests, 4);
    world_fini(&w);
}

/* Bodies in memory, so many that their end is an ebb, and one in a file. */
static void test_gateway_ends_while_it_translates(void **state)
{
    enum { COUNT_LARGE = 6 };
    struct world w;
    struct answer answers[COUNT_LARGE + 1];
    struct pool pool;
    auto_free char *body = large_body(BODY_MEMORY_MAX - LARGE);
    auto_free char *larger = large_body(BODY_MEMORY_MAX + LARGE);
    start(&w, "");
    pool_hold(&pool, &w);
    start_translating(&w, &answers[0], larger);
    for (int i = 1; i <= COUNT_LARGE; i++)
        ask_start(&w, &answers[i], HTTP_POST, MESSAGES, ADMIN_KEY, body);
    for (int i = 1; i <= COUNT_LARGE; i++)
        WAIT_UNTIL(&w, !answers[i].call || http_call_is_sent(answers[i].call));
    expect_answer(&w, CHAT, HELLO, 200);
    pool_let_go(&pool);
    gateway_free(TAKE(w.gateway));
    for (int i = 0; i <= COUNT_LARGE; i++)
        answer_fini(&answers[i]);
    world_fini(&w);
}

/* Waits until one of the engines has one more request than `before`; returns which. */
static struct engine *wait_asked(struct world *w, const unsigned *before)
{
    struct engine *engines = w->engines;
    WAIT_UNTIL(w, engines[0].requests > before[0] || engines[1].requests > before[1]);
    return engines[0].requests > before[0] ? &engines[0] : &engines[1];
}

/* The second attempt has another name for the model, and no pool. */
static void test_one_translation_for_all_instances(void **state)
{
    struct world w;
    struct answer a;
    struct pool pool;
    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    auto_free char *body = large_body(LARGE);
    start(&w, "first");
    engine_says(&w.engines[0], 404, "{}");
    expect_answer(&w, MESSAGES, SMALL, 404); /* now it is known */
    engine_says(&w.engines[0], 503, "{}");
    engine_says(&w.engines[1], 404, "{}");
    feed_endpoint(&w, 8, w.engines[1].port, "here");
    ask_until(&w, 404, HTTP_POST, MESSAGES, SMALL); /* and of the second one */
    const unsigned before[] = {w.engines[0].requests, w.engines[1].requests};
    w.engines[0].mode = w.engines[1].mode = ENGINE_HOLD;
    ask_start(&w, &a, HTTP_POST, MESSAGES, ADMIN_KEY, body);
    struct engine *asked = wait_asked(&w, before), *other = &w.engines[asked == &w.engines[0]];
    pool_hold(&pool, &w);
    http_reply(asked->ex, 503, NULL, 0, STR(""));
    WAIT_UNTIL(&w, other->requests > before[other - w.engines]);
    http_reply(other->ex, 200, &type, 1, str_of(REPLY));
    WAIT_UNTIL(&w, a.is_ended);
    assert_int_equal(a.status, 200);
    expect_in(&w.engines[0].body, "{\"model\":\"first\",\"messages\":");
    expect_in(&w.engines[1].body, "{\"model\":\"hello\",\"messages\":");
    pool_let_go(&pool);
    answer_fini(&a);
    world_fini(&w);
}

static void test_operations_are_learnt_one_by_one(void **state)
{
    struct world w;
    struct answer a;
    start(&w, "");
    engine_says(&w.engines[0], 404, "{}");
    expect_answer(&w, COUNT, SMALL, 404);
    expect_in(&w.engines[0].head, "POST /tokenize\n");
    engine_says(&w.engines[0], 200, REPLY);
    ask(&w, &a, HTTP_POST, COUNT, ADMIN_KEY, SMALL);
    assert_string_equal(a.body.ptr, "{\"input_tokens\":7}");
    answer_fini(&a);
    expect_answer(&w, MESSAGES, SMALL, 200);
    expect_in(&w.engines[0].head, "POST " MESSAGES "\n");
    assert_int_equal(w.engines[0].requests, 4);
    world_fini(&w);
}

/* The engine would go on, but nothing that it says could be told any more. */
static void test_a_stream_that_cant_be_translated(void **state)
{
    struct world w;
    struct answer a;
    start(&w, "");
    engine_says(&w.engines[0], 404, "{}");
    expect_answer(&w, MESSAGES, SMALL, 404);
    w.engines[0].mode = ENGINE_EVENTS; /* "data: 1", and then it stays */
    unsigned before = w.engines[0].gone; /* the 404 may have been broken off too */
    ask(&w, &a, HTTP_POST, MESSAGES, ADMIN_KEY, SMALL);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.error, 0);
    expect_in(&a.body, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"");
    expect_in(&a.body, "'[' or '{' expected near '1'");
    WAIT_UNTIL(&w, w.engines[0].gone > before);
    expect_metric(&w, "code=\"200\",outcome=\"cut\"} 1\n");
    answer_fini(&a);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_body_holds_nobody_up),
        cmocka_unit_test(test_client_gone_while_it_is_translated),
        cmocka_unit_test(test_gateway_ends_while_it_translates),
        cmocka_unit_test(test_one_translation_for_all_instances),
        cmocka_unit_test(test_operations_are_learnt_one_by_one),
        cmocka_unit_test(test_a_stream_that_cant_be_translated),
    };
    auth_init();
    log_set_level(getenv("DEBUG") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
