/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy.h"

#include "base/log.h"
#include "gateway/balance.h"
#include "gateway/engine_target.h"
#include "gateway/header_drop.h"
#include "gateway/scan.h"
#include "http/forward.h"

#include <errno.h>

struct proxy {
    struct shard *shard;
    struct http_exchange *ex;
    const char *engine_path; /* static */
    struct request_id id;
    struct entry *key; /* a reference; NULL: a session, without limits on models */
    struct buf body;   /* the request's, as it came */
    struct scan_request scan;
    const char **drop;      /* owned; headers that engines never see */
    struct entry *endpoint; /* from balance_take(); NULL while none is asked */
    unsigned attempts;
    bool is_events; /* the response is text/event-stream, and more can be appended */
    char tail[2];   /* last bytes of the response */
};

/* The engine gets its own token instead; what else could tell who the client is stays here. */
static const char *const never_passed[] = {"Cookie", "X-API-Key", "Proxy-Authorization", NULL};

static void proxy_free(struct proxy *p)
{
    balance_release(p->endpoint);
    entry_unref(p->key);
    buf_fini(&p->body);
    free(p->drop);
    free(p);
}

static void fail(struct proxy *p, enum openai_fault fault, const char *message)
{
    openai_reply_error(p->ex, &p->id, fault, message, NULL);
}

static void on_close(struct http_exchange *ex, bool gone, void *ctx)
{
    proxy_free(ctx);
}

/* While a reply of our own goes out after a failed forward. */
static const struct http_exchange_ops reply_ops = {.on_close = on_close};

/* ---- the response ---- */

static void on_response_head(struct forward *forward, const struct http_response_head *head,
                             void *ctx)
{
    struct proxy *p = ctx;
    struct str type = http_headers_get(&head->headers, "Content-Type");
    type = str_trim(str_sub(type.ptr, str_find(type, ';')));
    p->is_events = str_eq_nocase(type, STR("text/event-stream")) &&
                   (head->body == HTTP_BODY_CHUNKED || head->body == HTTP_BODY_TO_CLOSE);
}

static void on_response_body(struct forward *forward, struct str data, void *ctx)
{
    struct proxy *p = ctx;
    if (data.len == 0)
        return;
    p->tail[0] = data.len > 1 ? data.ptr[data.len - 2] : p->tail[1];
    p->tail[1] = data.ptr[data.len - 1];
}

/*
 * An end without a word would be taken for success: a stream of events gets a last one that says
 * so, behind the empty line that ends a half one; anything else a broken end.
 */
static void end_cut_response(struct proxy *p, const char *text)
{
    struct http_exchange *ex = p->ex;
    http_exchange_set_ops(ex, &reply_ops, p);
    if (!p->is_events) {
        http_exchange_abort(ex);
        return;
    }
    bool is_between_events = p->tail[0] == '\n' && p->tail[1] == '\n';
    auto_free char *message = mem_printf("the engine broke the response off: %s", text);
    struct buf event = {0};
    buf_add_cstr(&event, is_between_events ? "data: " : "\n\ndata: ");
    openai_write_error(OPENAI_ENGINE_FAILED, message, &event);
    buf_add_cstr(&event, "\n\n");
    http_reply_write(ex, buf_str(&event));
    buf_fini(&event);
    http_reply_end(ex);
}

/* ---- the endpoint ---- */

static void on_done(struct forward *forward, enum forward_outcome outcome, int code,
                    const char *text, void *ctx);

/* Forwards to p->endpoint. */
static void ask_endpoint(struct proxy *p)
{
    struct engine_target to;
    const struct http_header reply_add[] = {request_id_header(&p->id)};
    struct http_header add[ARRAY_LEN(to.headers) + 1];
    engine_target_init(&to, p->endpoint, p->shard->shared->netns_id, p->engine_path);
    memcpy(add, to.headers, sizeof to.headers);
    add[to.header_count] = request_id_header(&p->id);
    const struct forward_params params = {
        .pool = p->shard->pool,
        .target = &to.target,
        .path = str_of(to.path),
        .add = add,
        .add_count = to.header_count + 1,
        .drop = p->drop,
        .reply_add = reply_add,
        .reply_add_count = ARRAY_LEN(reply_add),
        .body = buf_str(&p->body),
        .idle_timeout_ms = PROXY_IDLE_TIMEOUT_MS,
        .on_head = on_response_head,
        .on_body = on_response_body,
        .on_done = on_done,
        .ctx = p,
    };
    p->attempts++;
    forward_start(p->ex, &params);
    engine_target_fini(&to);
}

/* The connection broke or talked nonsense, as opposed to not being made at all. */
static bool was_connected(int code)
{
    return code == ERR_CLOSED || code == ERR_PROTOCOL || code == -ECONNRESET || code == -EPIPE;
}

static void reply_engine_failed(struct proxy *p, const char *instance, int code, const char *text)
{
    auto_free char *message = mem_printf("the instance %s of the model '%s' did not answer: %s",
                                         instance, p->scan.model, text);
    fail(p, was_connected(code) ? OPENAI_ENGINE_FAILED : OPENAI_ENGINE_AWAY, message);
}

/* No byte of a response came: one other endpoint gets the chance. */
static void on_engine_failed(struct proxy *p, int code, const char *text)
{
    struct entry *failed = entry_ref(p->endpoint);
    struct entry_span endpoints = snapshot_endpoints(p->shard->snapshot, failed->endpoint.model_id);
    balance_release(TAKE(p->endpoint));
    log_warning("instance", "%s: a request failed before its response began: %s",
                failed->endpoint.name, text);
    http_exchange_set_ops(p->ex, &reply_ops, p);
    if (p->attempts < PROXY_ATTEMPTS)
        p->endpoint = balance_take(endpoints, failed->id, &p->shard->turn);
    if (p->endpoint)
        ask_endpoint(p);
    else
        reply_engine_failed(p, failed->endpoint.name, code, text);
    entry_unref(failed);
}

static void on_done(struct forward *forward, enum forward_outcome outcome, int code,
                    const char *text, void *ctx)
{
    struct proxy *p = ctx;
    log_debug("instance", "%s: request %s of model %s: outcome=%d attempt=%u",
              p->endpoint->endpoint.name, p->id.text, p->scan.model, (int)outcome, p->attempts);
    switch (outcome) {
    case FORWARD_DONE:
    case FORWARD_CLIENT_GONE:
        proxy_free(p);
        break;
    case FORWARD_FAILED:
        on_engine_failed(p, code, text);
        break;
    case FORWARD_CUT:
        log_warning("instance", "%s: a response was broken off: %s", p->endpoint->endpoint.name,
                    text);
        end_cut_response(p, text);
        break;
    }
}

/* ---- the request ---- */

static void choose_endpoint(struct proxy *p, const struct entry *model)
{
    struct entry_span endpoints = snapshot_endpoints(p->shard->snapshot, model->id);
    p->endpoint = balance_take(endpoints, 0, &p->shard->turn);
    if (p->endpoint) {
        ask_endpoint(p);
        return;
    }
    auto_free char *message =
        mem_printf("the model '%s' has no instance that is ready now", p->scan.model);
    fail(p, OPENAI_NO_INSTANCE, message);
}

static void on_request_end(struct http_exchange *ex, void *ctx)
{
    struct proxy *p = ctx;
    struct err err = {0};
    struct entry *model;
    enum openai_fault fault = OPENAI_BAD_BODY;
    int rc = scan_request(buf_str(&p->body), &p->scan, &err);
    if (rc == 0 && p->scan.model[0] == '\0')
        rc = err_set(&err, ERR_INVALID, "the body must name a model: {\"model\": \"NAME\", ...}");
    if (rc == 0 &&
        openai_find_model(p->shard->snapshot, p->key, p->scan.model, &model, &fault, &err))
        choose_endpoint(p, model);
    else
        fail(p, fault, err.text);
}

static void refuse_size(struct proxy *p)
{
    auto_free char *message =
        mem_printf("the body is larger than %d bytes, the most that is taken", PROXY_BODY_MAX);
    buf_fini(&p->body);
    fail(p, OPENAI_BODY_TOO_LARGE, message);
}

static void on_request_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct proxy *p = ctx;
    if (data.len > PROXY_BODY_MAX - p->body.len)
        refuse_size(p);
    else
        buf_add_str(&p->body, data);
}

static const struct http_exchange_ops request_ops = {
    .on_body = on_request_body,
    .on_end = on_request_end,
    .on_close = on_close,
};

bool proxy_admit(const struct shard *shard, struct http_exchange *ex, const struct request_id *id,
                 struct identity *ret)
{
    struct err err = {0};
    if (!shard->snapshot) {
        openai_reply_error(ex, id, OPENAI_NOT_READY,
                           "the gateway has received no state from control yet", NULL);
        return false;
    }
    int rc = authenticate(shard->snapshot, &http_exchange_head(ex)->headers,
                          clock_wall_ms(loop_clock(shard->loop)), ret, &err);
    if (rc == 0)
        return true;
    openai_reply_error(ex, id, rc == ERR_FORBIDDEN ? OPENAI_NOT_PERMITTED : OPENAI_BAD_CREDENTIALS,
                       err.text, NULL);
    return false;
}

static struct proxy *proxy_new(struct shard *shard, struct http_exchange *ex,
                               const char *engine_path)
{
    struct proxy *p = mem_alloc(sizeof *p);
    p->shard = shard;
    p->ex = ex;
    p->engine_path = engine_path;
    p->tail[0] = p->tail[1] = '\n';
    request_id_set(&p->id, &http_exchange_head(ex)->headers);
    return p;
}

void proxy_start(struct shard *shard, struct http_exchange *ex, const char *engine_path)
{
    const struct http_request_head *head = http_exchange_head(ex);
    struct proxy *p = proxy_new(shard, ex, engine_path);
    struct identity identity;
    if (!proxy_admit(shard, ex, &p->id, &identity)) {
        proxy_free(p);
        return;
    }
    if (identity.key)
        p->key = entry_ref(identity.key);
    p->drop = header_drop_new(&head->headers, never_passed);
    http_exchange_set_ops(ex, &request_ops, p);
    if (head->body == HTTP_BODY_LENGTH && head->content_length > PROXY_BODY_MAX)
        refuse_size(p);
    else if (head->body == HTTP_BODY_LENGTH)
        buf_reserve(&p->body, head->content_length);
}
