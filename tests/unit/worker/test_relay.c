/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's own API, asked over real sockets, in front of stub engines. */
#include "worker/relay.h"
#include "worker_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

struct answer {
    struct loop *loop;
    struct http_target target; /* of the call, which borrows it */
    unsigned status;
    struct buf body;
    bool done;
};

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct answer *answer = ctx;
    answer->status = head->status;
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct answer *answer = ctx;
    buf_add_str(&answer->body, data);
    loop_stop(answer->loop);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct answer *answer = ctx;
    answer->done = true;
    loop_stop(answer->loop);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct answer *answer = ctx;
    answer->status = 0;
    on_end(call, ctx);
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

struct request {
    enum http_method method;
    const char *path, *instance, *bearer; /* the last two may be NULL */
};

static void ask(struct bench *bench, const struct relay *relay, const struct request *request,
                struct answer *answer)
{
    *answer = (struct answer){.loop = bench->loop};
    answer->target = (struct http_target){.host = "127.0.0.1", .port = relay_port(relay)};
    auto_free char *authorization = mem_printf("Bearer %s", request->bearer ? request->bearer : "");
    struct http_header headers[2];
    unsigned count = 0;
    if (request->instance)
        headers[count++] =
            (struct http_header){STR("x-gpustack-model-instance"), str_of(request->instance)};
    if (request->bearer)
        headers[count++] = (struct http_header){STR("Authorization"), str_of(authorization)};
    struct http_call_params params = {.target = &answer->target,
                                      .method = request->method,
                                      .path = str_of(request->path),
                                      .headers = headers,
                                      .header_count = count};
    (void)http_call_start(bench->pool, &params, &ops, answer);
}

struct fixture {
    struct bench *bench;
    struct relay *relay;
};

static struct fixture fixture_new(const char *stub, enum runner_phase until)
{
    struct fixture fixture = {.bench = bench_new()};
    struct err err = {0};
    if (relay_new(fixture.bench->loop, fixture.bench->pool, fixture.bench->set, "127.0.0.1", 0,
                  &fixture.relay, &err) < 0)
        fail_msg("%s", err.text);
    bench_desire(fixture.bench, "m.gguf", stub, 1);
    RUN_UNTIL(fixture.bench, bench_is(fixture.bench, until));
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    bench_desire_nothing(fixture->bench);
    RUN_UNTIL(fixture->bench, !bench_runner(fixture->bench));
    relay_free(fixture->relay);
    bench_free(fixture->bench);
}

static void expect(struct fixture *fixture, struct request request, unsigned status,
                   const char *said)
{
    struct answer answer;
    ask(fixture->bench, fixture->relay, &request, &answer);
    RUN_UNTIL(fixture->bench, answer.done);
    const char *body = answer.body.ptr ? answer.body.ptr : "";
    if (answer.status != status || !strstr(body, said) || strstr(body, "more than it should see"))
        fail_msg("%s: %u \"%s\"", request.path, answer.status, body);
    buf_fini(&answer.body);
}

static void test_bearer(void **state)
{
    static const struct {
        const char *value, *token;
        bool allowed;
    } rows[] = {
        {"Bearer secret", "secret", true},
        {"bearer  secret ", "secret", true},
        {"Bearer secre", "secret", false},
        {"Bearer secret2", "secret", false},
        {"Bearer ", "", false},
        {"Bearer ", "secret", false},
        {"", "secret", false},
        {"Bearer x", NULL, false},
        {"Basic secret", "secret", false},
        {"secret", "secret", false},
        {"Bearer secret", "SECRET", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (relay_is_authorized(str_of(rows[i].value), rows[i].token) != rows[i].allowed)
            fail_msg("\"%s\"", rows[i].value);
    assert_false(relay_is_authorized((struct str){0}, "secret"));
}

static void test_routes_and_credentials(void **state)
{
    struct fixture fixture = fixture_new("serve", PHASE_SERVING);
    static const struct {
        struct request request;
        unsigned status;
        const char *said;
    } rows[] = {
        {{HTTP_GET, "/healthz", NULL, NULL}, 200, "ok"},
        {{HTTP_GET, "/", NULL, NULL}, 404, "Not Found"},
        {{HTTP_GET, "/proxy", "7", "secret"}, 404, ""},
        {{HTTP_GET, "/proxy/v1/models?a=%2F", "7", "secret"},
         200,
         "/v1/models?a=%2F Authorization: Bearer secret"},
        {{HTTP_POST, "/proxy/v1/x", "7", "secret"}, 200, "/v1/x"},
        {{HTTP_GET, "/proxy/v1/models", "7", "wrong"}, 401, "token"},
        {{HTTP_GET, "/proxy/v1/models", "7", NULL}, 401, "token"},
        {{HTTP_GET, "/proxy/v1/models", "8", "secret"}, 404, "no such instance"},
        {{HTTP_GET, "/proxy/v1/models", NULL, "secret"}, 404, "no such instance"},
        {{HTTP_GET, "/proxy/v1/models", "07x", "secret"}, 404, "no such instance"},
        {{HTTP_GET, "/serveLogs/7", NULL, "secret"}, 200, "serving\n"},
        {{HTTP_GET, "/serveLogs/7?tail=0", NULL, "secret"}, 200, ""},
        {{HTTP_GET, "/serveLogs/7?tail=x", NULL, "secret"}, 400, "tail"},
        {{HTTP_GET, "/serveLogs/7?run=4", NULL, "secret"}, 404, "no log"},
        {{HTTP_GET, "/serveLogs/7", NULL, "wrong"}, 401, "token"},
        {{HTTP_GET, "/serveLogs/8", NULL, "secret"}, 404, "no such"},
        {{HTTP_GET, "/serveLogs/", NULL, "secret"}, 404, "no such"},
        {{HTTP_GET, "/serveLogs/7/other", NULL, "secret"}, 404, "runs"},
        {{HTTP_GET, "/serveLogs/7/runs", NULL, "secret"}, 200, "{\"runs\":[0]}"},
        {{HTTP_GET, "/serveLogs/7/runs", NULL, NULL}, 401, "token"},
        {{HTTP_POST, "/serveLogs/7", NULL, "secret"}, 405, "GET"},
        {{HTTP_GET, "/serveLogs/7/search?q=SERV", NULL, "secret"},
         200,
         "\"matches\":[{\"offset\":0,\"line_start\":0,\"text_start\":0,\"text\":\"serving\"}]"},
        {{HTTP_GET, "/serveLogs/7/search?q=SERV&case=true&direction=backward", NULL, "secret"},
         200,
         "\"matches\":[],\"scanned_to\":0,\"first\":0,\"size\":8,\"complete\":true"},
        {{HTTP_GET, "/serveLogs/7/search", NULL, "secret"}, 400, "q, what is looked for"},
        {{HTTP_GET, "/serveLogs/7/search?q=a&limit=0", NULL, "secret"}, 400, "limit"},
        {{HTTP_GET, "/serveLogs/7/search?q=a&from=x", NULL, "secret"}, 400, "from"},
        {{HTTP_GET, "/serveLogs/7/search?q=a&run=5", NULL, "secret"}, 404, "no log"},
        {{HTTP_GET, "/serveLogs/7/search?q=a", NULL, "wrong"}, 401, "token"},
        {{HTTP_GET, "/serveProcess/7", NULL, "secret"}, 200, "\"STUB\":\"serve\""},
        {{HTTP_GET, "/serveProcess/7", NULL, "wrong"}, 401, "token"},
        {{HTTP_GET, "/serveProcess/8", NULL, "secret"}, 404, "no such"},
        {{HTTP_POST, "/serveProcess/7", NULL, "secret"}, 405, "GET"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(&fixture, rows[i].request, rows[i].status, rows[i].said);
    fixture_free(&fixture);
}

/* Of an adopted engine the record knows; an older worker's record doesn't. */
static void test_a_process_is_known_after_a_restart(void **state)
{
    struct fixture fixture = fixture_new("serve", PHASE_SERVING);
    struct request request = {HTTP_GET, "/serveProcess/7", "7", "secret"};
    auto_free char *pid =
        mem_printf("\"pid\":%d,\"started_at\":\"2",
                   (int)process_identity(bench_runner(fixture.bench)->process)->pid);
    expect(&fixture, request, 200, pid);
    relay_free(fixture.relay);
    bench_restart_set(fixture.bench);
    struct err err = {0};
    if (relay_new(fixture.bench->loop, fixture.bench->pool, fixture.bench->set, "127.0.0.1", 0,
                  &fixture.relay, &err) < 0)
        fail_msg("%s", err.text);
    bench_desire(fixture.bench, "m.gguf", "serve", 1);
    RUN_UNTIL(fixture.bench, bench_is(fixture.bench, PHASE_SERVING));
    expect(&fixture, request, 200, pid);
    expect(&fixture, request, 200, "llama-server\",\"");
    struct runner *runner = bench_runner(fixture.bench);
    mem_replace(&runner->record.launch_note, NULL);
    expect(&fixture, request, 200, "{\"command\":null,\"env\":null,\"working_dir\":null,\"pid\":");
    fixture_free(&fixture);
}

static void test_only_a_serving_engine_is_proxied(void **state)
{
    struct fixture fixture = fixture_new("deaf", PHASE_STARTING);
    expect(&fixture, (struct request){HTTP_GET, "/proxy/v1/models", "7", "secret"}, 503,
           "not running");
    fixture_free(&fixture);
}

/* Following a log gives what is there, goes on, and ends with the run. */
static void test_a_followed_log_ends_with_its_run(void **state)
{
    struct fixture fixture = fixture_new("serve", PHASE_SERVING);
    struct answer answer;
    ask(fixture.bench, fixture.relay,
        &(struct request){HTTP_GET, "/serveLogs/7?follow=true", NULL, "secret"}, &answer);
    RUN_UNTIL(fixture.bench, answer.body.len > 0);
    assert_false(answer.done);
    auto_free char *log = mem_printf("%s/log/serve/7.0.log", fixture.bench->dir);
    FILE *file = fopen(log, "a");
    assert_non_null(file);
    fputs("one more line\n", file);
    fclose(file);
    RUN_UNTIL(fixture.bench, strstr(answer.body.ptr, "one more line"));
    kill(process_identity(bench_runner(fixture.bench)->process)->pid, SIGKILL);
    RUN_UNTIL(fixture.bench, answer.done);
    assert_int_equal(answer.status, 200);
    buf_fini(&answer.body);
    fixture_free(&fixture);
}

/* The client goes while a log is followed and while the relay is freed: nothing is left. */
static void test_freed_while_a_log_is_followed(void **state)
{
    struct fixture fixture = fixture_new("serve", PHASE_SERVING);
    struct answer answer;
    ask(fixture.bench, fixture.relay,
        &(struct request){HTTP_GET, "/serveLogs/7?follow=true", NULL, "secret"}, &answer);
    RUN_UNTIL(fixture.bench, answer.body.len > 0);
    relay_free(TAKE(fixture.relay));
    RUN_UNTIL(fixture.bench, answer.done);
    buf_fini(&answer.body);
    fixture_free(&fixture);
}

int main(int argc, char **argv)
{
    if (engine_stub_is_meant(argv))
        return engine_stub_main(argc, argv);
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bearer),
        cmocka_unit_test(test_routes_and_credentials),
        cmocka_unit_test(test_a_process_is_known_after_a_restart),
        cmocka_unit_test(test_only_a_serving_engine_is_proxied),
        cmocka_unit_test(test_a_followed_log_ends_with_its_run),
        cmocka_unit_test(test_freed_while_a_log_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
