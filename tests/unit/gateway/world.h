/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole gateway on loopback for the tests: a scripted control on a unix socket, engines, and a
 * client, all on the test's own loop; the gateway's shards run on their threads.
 */
#pragma once

#include "auth/auth.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/gateway.h"
#include "http/client.h"
#include "http/server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { ENGINES = 2, WAIT_MS = 3000, TICK_MS = 2, BODY_MAX = 9 << 20 };

#define SECRET "00112233445566778899aabbccddeeff"
#define ADMIN_KEY "Bearer gpustack_aaaaaaaaaaaaaaaa_" SECRET
#define LIMITED_KEY "Bearer gpustack_bbbbbbbbbbbbbbbb_" SECRET
#define CHAT "/v1/chat/completions"
#define HELLO "{\"model\":\"hello\",\"x\": [1,2] }"

enum engine_mode {
    ENGINE_JSON,
    ENGINE_RESET,
    ENGINE_HOLD,
    ENGINE_EVENTS,
    ENGINE_TEXT,
    ENGINE_BUSY,   /* 503 */
    ENGINE_SCRIPT, /* its `script` as it stands, with 200 and `type` */
};

struct engine {
    struct world *world;
    struct http_server *server;
    unsigned port;
    enum engine_mode mode;
    const char *type, *script; /* ENGINE_SCRIPT */
    unsigned status;           /* the same; 0: 200 */
    unsigned requests;        /* complete ones so far */
    unsigned gone;            /* exchanges that the gateway broke off */
    struct http_exchange *ex; /* the one in progress, or NULL */
    struct buf body;          /* of the last request */
    struct buf head;          /* "POST /path\nname: value\n..." of the last request */
};

struct world {
    struct loop *loop;
    struct http_pool *pool;
    struct http_server *control; /* NULL while control is down */
    char dir[32];
    char *socket;
    struct http_exchange *feed;  /* open feed, or NULL */
    unsigned feeds;              /* opened so far */
    struct buf script;           /* lines between reset and ready */
    struct buf control_head;     /* of the last request that was not the feed's */
    struct http_exchange *watch; /* open /v2/watch, or NULL */
    struct engine engines[ENGINES];
    struct gateway *gateway;
    struct gateway_settings settings; /* for gateway_up() */
    const struct site *site; /* the web UI, or NULL */
    const char *data_dir; /* of the gateway; NULL: it keeps nothing */
    const char *token;    /* the gateway's; NULL: control's */
    struct timer tick;
    bool is_drained;
};

/* One answer as the client saw it. */
struct answer {
    struct world *world;
    unsigned status;
    struct buf head; /* "name: value\n" */
    struct buf body;
    bool is_ended;
    int error; /* of a call that failed */
    struct http_call *call;
    struct http_target target;
    char *path;
    char *text;
    struct http_header headers[4];
};

/* ---- waiting ---- */

static inline void world_tick(struct timer *timer, void *ctx)
{
    struct world *world = ctx;
    loop_stop(world->loop);
    timer_start(timer, TICK_MS);
}

/* Runs the loop until `condition` holds; it is looked at again and again. */
#define WAIT_UNTIL(world, condition)                                                               \
    do {                                                                                           \
        int64_t until_ = clock_mono_ms(&clock_system) + WAIT_MS;                                   \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms(&clock_system) > until_)                                             \
                fail_msg("waited too long for " #condition);                                       \
            loop_run((world)->loop);                                                               \
        }                                                                                          \
    } while (0)

static inline void write_headers(struct buf *out, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->count; i++)
        buf_printf(out, "%.*s: %.*s\n", STR_ARGS(headers->items[i].name),
                   STR_ARGS(headers->items[i].value));
}

static inline void write_request(struct buf *out, const struct http_request_head *head)
{
    buf_clear(out);
    buf_printf(out, "%s %.*s\n", http_method_name(head->method), STR_ARGS(head->target));
    write_headers(out, &head->headers);
}

/* ---- control ---- */

static inline void feed_closed(struct http_exchange *ex, bool gone, void *ctx)
{
    struct world *world = ctx;
    if (world->feed == ex)
        world->feed = NULL;
    if (world->watch == ex)
        world->watch = NULL;
}

static inline void control_end(struct http_exchange *ex, void *ctx)
{
    struct world *world = ctx;
    const struct http_request_head *head = http_exchange_head(ex);
    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    if (str_eq(head->path, STR("/v2/gateway-feed"))) {
        assert_true(
            str_eq(http_headers_get(&head->headers, "Authorization"), STR("Bearer cluster")));
        world->feed = ex;
        world->feeds++;
        http_reply_start(ex, 200, NULL, 0, -1);
        http_reply_write(ex, STR("{\"op\":\"reset\",\"seq\":5}\n"));
        http_reply_write(ex, buf_str(&world->script));
        http_reply_write(ex, STR("{\"op\":\"ready\",\"seq\":5}\n"));
        return;
    }
    write_request(&world->control_head, head);
    if (str_eq(head->path, STR("/v2/watch"))) {
        world->watch = ex;
        http_reply_start(ex, 200, &type, 1, -1);
        http_reply_write(ex, STR("{\"first\":1}\n"));
        return;
    }
    http_reply(ex, 201, &type, 1, STR("{\"from\":\"control\"}"));
}

static inline void control_request(struct http_exchange *ex, void *ctx)
{
    static const struct http_exchange_ops ops = {.on_end = control_end, .on_close = feed_closed};
    http_exchange_set_ops(ex, &ops, ctx);
}

static inline void control_up(struct world *world)
{
    struct err err = {0};
    world->control = http_server_new(world->loop, control_request, world);
    if (http_server_listen_unix(world->control, world->socket, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void control_down(struct world *world)
{
    http_server_free(TAKE(world->control));
}

/* Adds a line to the state, and tells it to an open feed. */
static inline void feed_line(struct world *world, const char *fmt, ...) printf_like(2, 3);
static inline void feed_line(struct world *world, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    auto_free char *text = mem_vprintf(fmt, args);
    va_end(args);
    auto_free char *line = mem_printf("%s\n", text);
    buf_add_cstr(&world->script, line);
    if (world->feed)
        http_reply_write(world->feed, str_of(line));
}

/* The engine `number` (or a bare port) as endpoint `id` of model 2; elsewhere: through the relay.
 */
static inline void feed_endpoint(struct world *world, int id, unsigned port, const char *netns)
{
    feed_line(world,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"endpoint\",\"id\":%d,\"name\":\"hello-%d\","
              "\"model_id\":2,\"host\":\"127.0.0.1\",\"port\":%u,\"local_port\":%u,"
              "\"netns_id\":\"%s\",\"token\":\"token-%d\"}",
              id, id, port, port, netns, id);
}

static inline void feed_basics(struct world *world)
{
    char digest[AUTH_DIGEST_HEX], session[AUTH_DIGEST_HEX];
    auth_digest(STR(SECRET), digest);
    auth_digest(STR("cookie"), session);
    feed_line(world, "{\"op\":\"put\",\"seq\":5,\"kind\":\"user\",\"id\":1,\"username\":\"admin\","
                     "\"is_admin\":true,\"is_active\":true,\"require_password_change\":false}");
    feed_line(world,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"key\",\"id\":1,\"access_key\":"
              "\"aaaaaaaaaaaaaaaa\",\"secret_digest\":\"%s\",\"user_id\":1,\"expires_at_ms\":0,"
              "\"scope\":[\"*\"],\"allowed_model_names\":[]}",
              digest);
    feed_line(world,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"key\",\"id\":2,\"access_key\":"
              "\"bbbbbbbbbbbbbbbb\",\"secret_digest\":\"%s\",\"user_id\":1,\"expires_at_ms\":0,"
              "\"scope\":[\"*\"],\"allowed_model_names\":[\"empty\"]}",
              digest);
    feed_line(world,
              "{\"op\":\"put\",\"seq\":5,\"kind\":\"session\",\"id\":1,\"token_digest\":\"%s\","
              "\"user_id\":1,\"expires_at_ms\":4102444800000}",
              session);
    feed_line(world, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":2,\"name\":\"hello\","
                     "\"created_ms\":7000,\"categories\":[\"llm\"]}");
    feed_line(world, "{\"op\":\"put\",\"seq\":5,\"kind\":\"model\",\"id\":3,\"name\":\"empty\","
                     "\"created_ms\":8000,\"categories\":[]}");
}

/* ---- engines ---- */

static inline void engine_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct engine *engine = ctx;
    buf_add_str(&engine->body, data);
}

static inline void engine_end(struct http_exchange *ex, void *ctx)
{
    struct engine *engine = ctx;
    const struct http_header events = {STR("Content-Type"),
                                       STR("text/event-stream; charset=utf-8")};
    auto_free char *json = mem_printf("{\"engine\":%d}", (int)(engine - engine->world->engines));
    engine->requests++;
    switch (engine->mode) {
    case ENGINE_JSON:
        http_reply(ex, 200, &(struct http_header){STR("Content-Type"), STR("application/json")}, 1,
                   str_of(json));
        break;
    case ENGINE_RESET:
        http_exchange_abort(ex);
        break;
    case ENGINE_HOLD:
        break;
    case ENGINE_EVENTS:
        http_reply_start(ex, 200, &events, 1, -1);
        http_reply_write(ex, STR("data: 1\n\n"));
        break;
    case ENGINE_BUSY:
        http_reply(ex, 503, NULL, 0, STR("busy"));
        break;
    case ENGINE_SCRIPT:
        http_reply_start(ex, engine->status ? engine->status : 200,
                         &(struct http_header){STR("Content-Type"), str_of(engine->type)}, 1, -1);
        http_reply_write(ex, str_of(engine->script));
        http_reply_end(ex);
        break;
    case ENGINE_TEXT:
        http_reply_start(ex, 200, NULL, 0, 100);
        http_reply_write(ex, STR("half"));
        break;
    }
}

static inline void engine_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct engine *engine = ctx;
    engine->gone += gone;
    engine->ex = NULL;
}

static inline void engine_request(struct http_exchange *ex, void *ctx)
{
    static const struct http_exchange_ops ops = {
        .on_body = engine_body, .on_end = engine_end, .on_close = engine_close};
    struct engine *engine = ctx;
    engine->ex = ex;
    buf_clear(&engine->body);
    write_request(&engine->head, http_exchange_head(ex));
    http_exchange_set_ops(ex, &ops, engine);
}

/* ---- client ---- */

static inline void answer_head(struct http_call *call, const struct http_response_head *head,
                               void *ctx)
{
    struct answer *answer = ctx;
    answer->status = head->status;
    write_headers(&answer->head, &head->headers);
    loop_stop(answer->world->loop);
}

static inline void answer_body(struct http_call *call, struct str data, void *ctx)
{
    struct answer *answer = ctx;
    buf_add_str(&answer->body, data);
    loop_stop(answer->world->loop);
}

static inline void answer_end(struct http_call *call, void *ctx)
{
    struct answer *answer = ctx;
    answer->is_ended = true;
    answer->call = NULL;
    loop_stop(answer->world->loop);
}

static inline void answer_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct answer *answer = ctx;
    answer->error = code;
    answer_end(call, ctx);
}

/* What all requests have in common. `credential` is the value of Authorization or Cookie, or NULL.
 */
static inline struct http_call_params answer_init(struct world *world, struct answer *answer,
                                                  const char *path, const char *credential)
{
    *answer = (struct answer){.world = world, .path = mem_strdup(path)};
    answer->target =
        (struct http_target){.host = "127.0.0.1", .port = gateway_port(world->gateway)};
    unsigned count = 0;
    answer->headers[count++] = (struct http_header){STR("X-Request-Id"), STR("rid-1")};
    answer->headers[count++] = (struct http_header){STR("X-GPUStack-Model-Instance"), STR("99")};
    if (credential && strncmp(credential, "Bearer", 6) == 0)
        answer->headers[count++] = (struct http_header){STR("Authorization"), str_of(credential)};
    else if (credential)
        answer->headers[count++] = (struct http_header){STR("Cookie"), str_of(credential)};
    return (struct http_call_params){
        .target = &answer->target,
        .method = HTTP_POST,
        .path = str_of(answer->path),
        .headers = answer->headers,
        .header_count = count,
    };
}

static const struct http_call_ops answer_ops = {
    .on_head = answer_head, .on_body = answer_body, .on_end = answer_end, .on_error = answer_error};

/* Starts a request. */
static inline void ask_start(struct world *world, struct answer *answer, enum http_method method,
                             const char *path, const char *credential, const char *body)
{
    struct http_call_params params = answer_init(world, answer, path, credential);
    answer->text = mem_strdup(body);
    params.method = method;
    params.body = http_body_of(str_of(answer->text));
    answer->call = http_call_start(world->pool, &params, &answer_ops, answer);
}

/* Starts one whose body of `length` bytes, or -1 for chunks, comes by http_call_write(). */
static inline void ask_streamed(struct world *world, struct answer *answer, const char *path,
                                int64_t length)
{
    struct http_call_params params = answer_init(world, answer, path, ADMIN_KEY);
    params.stream_body = true;
    params.stream_length = length;
    answer->call = http_call_start(world->pool, &params, &answer_ops, answer);
}

static inline void answer_fini(struct answer *answer)
{
    http_call_cancel(answer->call);
    buf_fini(&answer->head);
    buf_fini(&answer->body);
    free(answer->path);
    free(answer->text);
    *answer = (struct answer){0};
}

/* The same, waiting for the whole answer. */
static inline void ask(struct world *world, struct answer *answer, enum http_method method,
                       const char *path, const char *credential, const char *body)
{
    ask_start(world, answer, method, path, credential, body);
    WAIT_UNTIL(world, answer->is_ended);
}

/* Asks again and again until the status is `status`: for what the feed will change. */
static inline void ask_until(struct world *world, unsigned status, enum http_method method,
                             const char *path, const char *body)
{
    struct answer answer;
    unsigned got;
    int64_t until = clock_mono_ms(&clock_system) + WAIT_MS;
    do {
        ask(world, &answer, method, path, ADMIN_KEY, body);
        got = answer.status;
        answer_fini(&answer);
        if (clock_mono_ms(&clock_system) > until)
            fail_msg("%s answers %u and not %u", path, got, status);
    } while (got != status);
}

static inline void expect_in(const struct buf *text, const char *part)
{
    if (!text->ptr || !strstr(text->ptr, part))
        fail_msg("'%s' is not in: %s", part, text->ptr ? text->ptr : "");
}

static inline void expect_not_in(const struct buf *text, const char *part)
{
    if (text->ptr && strstr(text->ptr, part))
        fail_msg("'%s' is in: %s", part, text->ptr);
}

/* ---- the world ---- */

static inline void gateway_up(struct world *world, unsigned threads)
{
    struct err err = {0};
    struct gateway_params params = {.loop = world->loop,
                                    .host = "127.0.0.1",
                                    .threads = threads,
                                    .settings = world->settings,
                                    .token = world->token ? world->token : "cluster",
                                    .netns_id = "here",
                                    .data_dir = world->data_dir,
                                    .site = world->site};
    snprintf(params.control.unix_path, sizeof params.control.unix_path, "%s", world->socket);
    snprintf(params.control.host, sizeof params.control.host, "control");
    if (gateway_new(&params, &world->gateway, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void world_init(struct world *world)
{
    *world = (struct world){.dir = "/tmp/gateway-test-XXXXXX",
                            .settings = {.body_max = BODY_MAX, .queue_max = 2}};
    assert_non_null(mkdtemp(world->dir));
    world->socket = mem_printf("%s/control.sock", world->dir);
    world->loop = loop_new(&clock_system);
    world->pool = http_pool_new(world->loop);
    timer_init(&world->tick, world->loop, world_tick, world);
    timer_start(&world->tick, TICK_MS);
    for (int i = 0; i < ENGINES; i++) {
        struct engine *engine = &world->engines[i];
        engine->world = world;
        engine->server = http_server_new(world->loop, engine_request, engine);
        int port = http_server_listen_tcp(engine->server, "127.0.0.1", 0, false, NULL);
        assert_true(port > 0);
        engine->port = (unsigned)port;
    }
    feed_basics(world);
    control_up(world);
}

/* With the gateway on and its first state there. */
static inline void world_start(struct world *world, unsigned threads)
{
    gateway_up(world, threads);
    ask_until(world, 200, HTTP_GET, "/readyz", NULL);
}

static inline void world_fini(struct world *world)
{
    gateway_free(world->gateway);
    http_pool_free(world->pool);
    http_server_free(world->control);
    for (int i = 0; i < ENGINES; i++) {
        http_server_free(world->engines[i].server);
        buf_fini(&world->engines[i].body);
        buf_fini(&world->engines[i].head);
    }
    timer_stop(&world->tick);
    loop_free(world->loop);
    buf_fini(&world->script);
    buf_fini(&world->control_head);
    unlink(world->socket);
    rmdir(world->dir);
    free(world->socket);
}
