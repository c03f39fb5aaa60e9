/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/relay.h"

#include "base/num.h"
#include "http/forward.h"
#include "worker/relay_priv.h"

struct relay {
    struct loop *loop;
    struct http_pool *pool;
    const struct runner_set *runners;
    struct http_server *server;
    unsigned port;
};

static const char INSTANCE_HEADER[] = "X-GPUStack-Model-Instance";

static void reply_json(struct http_exchange *ex, unsigned status, struct str body)
{
    const struct http_header type = {STR("Content-Type"), STR("application/json")};
    http_reply(ex, status, &type, 1, body);
}

void relay_reply_error(struct http_exchange *ex, unsigned status, const char *message)
{
    struct buf body = {0};
    struct json_writer w = json_writer_into(&body);
    json_begin_object(&w);
    json_put_int(&w, "code", status);
    json_put_string(&w, "reason", http_status_text(status));
    json_put_string(&w, "message", message);
    json_end_object(&w);
    reply_json(ex, status, buf_str(&body));
    buf_fini(&body);
}

bool relay_is_authorized(struct str authorization, const char *token)
{
    const struct str scheme = STR("Bearer ");
    if (!token || !*token || authorization.len <= scheme.len ||
        !str_eq_nocase(str_sub(authorization.ptr, scheme.len), scheme))
        return false;
    return str_eq_const_time(str_trim(str_skip(authorization, scheme.len)), str_of(token));
}

/* The runner that the request may use; else an error was replied and it is NULL. */
static const struct runner *admit(const struct relay *relay, struct http_exchange *ex,
                                  struct str id)
{
    const struct http_request_head *head = http_exchange_head(ex);
    int64_t number;
    const struct runner *runner = NULL;
    if (num_parse_i64(id, 1, INT64_MAX, &number) == 0)
        runner = runner_set_find(relay->runners, number);
    if (!runner) {
        relay_reply_error(ex, 404, "there is no such instance on this worker");
        return NULL;
    }
    if (!relay_is_authorized(http_headers_get(&head->headers, "Authorization"),
                             runner->wanted.token)) {
        relay_reply_error(ex, 401, "the bearer token is not this instance's");
        return NULL;
    }
    return runner;
}

/* ---- forwarding ---- */

static void on_forwarded(struct forward *fwd, enum forward_outcome outcome, int code,
                         const char *text, void *ctx)
{
    struct http_exchange *ex = forward_exchange(fwd);
    switch (outcome) {
    case FORWARD_DONE:
    case FORWARD_CLIENT_GONE:
    case FORWARD_TAKEN: /* none is taken here */
        return;
    case FORWARD_BAD_BODY:
        http_exchange_set_ops(ex, &(struct http_exchange_ops){0}, NULL);
        relay_reply_error(ex, 400, text);
        return;
    case FORWARD_FAILED: {
        auto_free char *message = mem_printf("the engine does not answer: %s", text);
        http_exchange_set_ops(ex, &(struct http_exchange_ops){0}, NULL);
        relay_reply_error(ex, 502, message);
        return;
    }
    case FORWARD_CUT: /* the client must see that something is missing */
        http_exchange_abort(ex);
        return;
    }
}

static bool is_our_header(struct str name)
{
    return str_eq_nocase(name, str_of(INSTANCE_HEADER));
}

static void proxy(struct relay *relay, struct http_exchange *ex, struct str path)
{
    const struct http_request_head *head = http_exchange_head(ex);
    struct str id = http_headers_get(&head->headers, INSTANCE_HEADER);
    const struct runner *runner = admit(relay, ex, id);
    if (!runner)
        return;
    if (runner->phase != PHASE_SERVING || runner->wanted.rank > 0) {
        relay_reply_error(ex, 503, "the instance is not running");
        return;
    }
    struct http_target target = {.host = "127.0.0.1", .port = runner_port(runner)};
    struct forward_params params = {.pool = relay->pool,
                                    .target = &target,
                                    .path = path,
                                    .drops = is_our_header,
                                    .on_done = on_forwarded};
    (void)forward_start(ex, &params);
}

/* ---- requests ---- */

static void serve_logs(struct relay *relay, struct http_exchange *ex, struct str rest)
{
    if (http_exchange_head(ex)->method != HTTP_GET) {
        relay_reply_error(ex, 405, "logs are read with GET");
        return;
    }
    size_t slash = str_find(rest, '/');
    const struct runner *runner = admit(relay, ex, str_sub(rest.ptr, slash));
    if (runner)
        relay_logs(ex, relay->loop, relay->runners, runner, str_skip(rest, slash));
}

static void serve_process(const struct relay *relay, struct http_exchange *ex, struct str id)
{
    if (http_exchange_head(ex)->method != HTTP_GET) {
        relay_reply_error(ex, 405, "what a process was started with is read with GET");
        return;
    }
    const struct runner *runner = admit(relay, ex, id);
    if (runner)
        relay_process(ex, runner);
}

static void on_request(struct http_exchange *ex, void *ctx)
{
    struct relay *relay = ctx;
    const struct http_request_head *head = http_exchange_head(ex);
    const struct str proxy_prefix = STR("/proxy"), logs_prefix = STR("/serveLogs/");
    const struct str process_prefix = STR("/serveProcess/");
    if (str_eq(head->path, STR("/healthz")))
        reply_json(ex, 200, STR("{\"status\":\"ok\"}"));
    else if (str_has_prefix(head->target, STR("/proxy/")))
        proxy(relay, ex, str_skip(head->target, proxy_prefix.len));
    else if (str_has_prefix(head->path, logs_prefix))
        serve_logs(relay, ex, str_skip(head->path, logs_prefix.len));
    else if (str_has_prefix(head->path, process_prefix))
        serve_process(relay, ex, str_skip(head->path, process_prefix.len));
    else
        relay_reply_error(
            ex, 404, "this worker serves /healthz, /proxy/, /serveLogs/ and /serveProcess/");
}

int relay_new(struct loop *loop, struct http_pool *pool, const struct runner_set *runners,
              const char *host, unsigned port, struct relay **ret, struct err *err)
{
    struct relay *relay = mem_alloc(sizeof *relay);
    *relay = (struct relay){.loop = loop, .pool = pool, .runners = runners};
    relay->server = http_server_new(loop, on_request, relay);
    int rc = http_server_listen_tcp(relay->server, host, port, false, err);
    if (rc < 0) {
        relay_free(relay);
        return rc;
    }
    relay->port = (unsigned)rc;
    *ret = relay;
    return 0;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    http_server_free(relay->server);
    free(relay);
}

unsigned relay_port(const struct relay *relay)
{
    return relay->port;
}
