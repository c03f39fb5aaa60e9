/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/dispatch.h"

#include "gateway/authenticate.h"
#include "gateway/management.h"
#include "gateway/metrics_page.h"
#include "gateway/models.h"
#include "gateway/pass.h"
#include "gateway/proxy.h"
#include "gateway/route.h"

/* Replies to GET need nothing but the exchange: it is answered and its end concerns nobody. */
static const struct http_exchange_ops no_ops = {0};

static void reply_text(struct http_exchange *ex, unsigned status, const char *type, struct str text)
{
    const struct http_header headers[] = {{STR("Content-Type"), str_of(type)},
                                          {STR("Cache-Control"), STR("no-store")}};
    http_reply(ex, status, headers, ARRAY_LEN(headers), text);
}

static void reply_ready(const struct shard *shard, struct http_exchange *ex)
{
    bool is_connected = atomic_load_explicit(&shard->shared->is_connected, memory_order_relaxed);
    if (!shard->snapshot)
        reply_text(ex, 503, "text/plain", STR("no state was received from control yet"));
    else if (!is_connected)
        reply_text(ex, 503, "text/plain", STR("control can't be reached"));
    else
        reply_text(ex, 200, "text/plain", STR("ok"));
}

/* Where there is no web UI. */
static void reply_home(struct http_exchange *ex)
{
    reply_text(ex, 200, "text/html; charset=utf-8",
               STR("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                   "<title>gpustack</title>\n<h1>gpustack " GPUSTACK_VERSION "</h1>\n"
                   "<p>Serves models over an OpenAI-compatible API.</p>\n"
                   "<ul><li>Inference: <code>/v1/</code>, for example <code>POST "
                   "/v1/chat/completions</code></li>\n"
                   "<li>Management: <code>/v2/</code>, see the <a href=\"/docs\">reference</a>; by "
                   "command line: <code>gpustack help</code></li></ul>\n</html>\n"));
}

static void reply_no_route(struct http_exchange *ex, const struct route_match *match)
{
    const struct http_request_head *head = http_exchange_head(ex);
    auto_free char *allow = match->route ? route_allow(match->route) : NULL;
    auto_free char *text =
        match->route
            ? mem_printf("%s is not allowed here, only %s", http_method_name(head->method), allow)
            : mem_printf("there is nothing at %.*s", STR_ARGS(head->path));
    if (match->dialect == DIALECT_MANAGEMENT) {
        management_reply_error(ex, match->route ? 405 : 404, text, allow);
        return;
    }
    struct request_id id;
    request_id_set(&id, &head->headers);
    fault_reply(ex, match->route ? FAULT_METHOD_UNKNOWN : FAULT_PATH_UNKNOWN, match->dialect, text,
                &id, &(struct fault_extra){.allow = allow});
}

/* `name` as it stands in the path. */
static void reply_model(const struct shard *shard, struct http_exchange *ex,
                        const struct request_id *id, const struct entry *key, struct str name)
{
    struct err err = {0};
    struct targets targets;
    enum fault fault = FAULT_PATH_UNKNOWN;
    auto_free char *decoded = NULL;
    if (http_percent_decode(name, &decoded, &err) == 0 &&
        models_find(shard->snapshot, key, decoded, 0, &targets, &fault, &err))
        models_reply_one(ex, id, decoded, &targets);
    else
        fault_reply(ex, fault, DIALECT_OPENAI, err.text, id, NULL);
}

static void reply_models(const struct shard *shard, struct http_exchange *ex,
                         const struct route_match *match)
{
    struct request_id id;
    struct identity identity;
    request_id_set(&id, &http_exchange_head(ex)->headers);
    if (!proxy_admit(shard, ex, match->dialect, &id, clock_wall_ms(loop_clock(shard->loop)),
                     &identity))
        return;
    if (match->route->action == ROUTE_MODELS)
        models_reply_list(ex, &id, shard->snapshot, identity.key);
    else
        reply_model(shard, ex, &id, identity.key, match->rest);
}

void dispatch_request(struct shard *shard, struct http_exchange *ex)
{
    const struct http_request_head *head = http_exchange_head(ex);
    struct route_match match = route_find(head->method, head->path);
    http_exchange_set_ops(ex, &no_ops, NULL);
    if (match.is_free && site_reply(shard->shared->site, ex))
        return;
    if (!match.is_allowed) {
        reply_no_route(ex, &match);
        return;
    }
    switch (match.route->action) {
    case ROUTE_INFER:
    case ROUTE_PROXY:
        proxy_start(shard, ex, &match);
        break;
    case ROUTE_MODELS:
    case ROUTE_MODEL:
        reply_models(shard, ex, &match);
        break;
    case ROUTE_CONTROL:
        pass_start(shard, ex);
        break;
    case ROUTE_METRICS:
        metrics_page_reply(shard, ex);
        break;
    case ROUTE_HEALTH:
        reply_text(ex, 200, "text/plain", STR("ok"));
        break;
    case ROUTE_READY:
        reply_ready(shard, ex);
        break;
    case ROUTE_HOME:
        if (!site_reply(shard->shared->site, ex))
            reply_home(ex);
        break;
    }
}
