/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/pass.h"

#include "base/log.h"
#include "gateway/header_drop.h"
#include "gateway/management.h"
#include "http/forward.h"

struct pass {
    struct list_node node; /* in shard->passes */
    struct forward *forward;
    bool is_stream;    /* the response has begun and has no length */
    bool is_ended;     /* by pass_end_streams() */
};

static const struct http_exchange_ops no_ops = {0};

static void on_head(struct forward *forward, const struct http_response_head *head, void *ctx)
{
    struct pass *pass = ctx;
    (void)forward;
    pass->is_stream = head->body == HTTP_BODY_CHUNKED || head->body == HTTP_BODY_TO_CLOSE;
}

static void pass_free(struct pass *pass)
{
    list_remove(&pass->node);
    free(pass);
}

static void reply_control_away(struct http_exchange *ex, const char *text)
{
    auto_free char *message = mem_printf("the management API can't be reached now: %s", text);
    management_reply_error(ex, 503, message, NULL);
}

static void on_done(struct forward *forward, enum forward_outcome outcome, int code,
                    const char *text, void *ctx)
{
    struct pass *pass = ctx;
    struct http_exchange *ex = forward_exchange(forward);
    bool is_ended = pass->is_ended;
    (void)code;
    pass_free(pass);
    switch (outcome) {
    case FORWARD_DONE:
    case FORWARD_CLIENT_GONE:
    case FORWARD_TAKEN:
        break;
    case FORWARD_BAD_BODY:
        http_exchange_set_ops(ex, &no_ops, NULL);
        management_reply_error(ex, 400, text, NULL);
        break;
    case FORWARD_FAILED:
        log_debug("control", "a request failed: %s", text);
        http_exchange_set_ops(ex, &no_ops, NULL);
        reply_control_away(ex, text);
        break;
    case FORWARD_CUT:
        http_exchange_set_ops(ex, &no_ops, NULL);
        if (is_ended)
            http_reply_end(ex);
        else
            http_exchange_abort(ex);
        break;
    }
}

/* By what name the client reached us, which a proxy before us has told or the client itself. */
static struct str host_of(const struct http_headers *headers)
{
    struct str told = http_headers_get(headers, "X-Forwarded-Host");
    return told.len ? told : http_headers_get(headers, "Host");
}

void pass_start(struct shard *shard, struct http_exchange *ex)
{
    const struct http_request_head *head = http_exchange_head(ex);
    struct pass *pass = mem_alloc(sizeof *pass);
    list_add_tail(&shard->passes, &pass->node);
    struct buf path = {0};
    buf_add_str(&path, head->path);
    if (head->query.len) {
        buf_add_char(&path, '?');
        buf_add_str(&path, head->query);
    }
    const struct http_header host = {STR("X-Forwarded-Host"), host_of(&head->headers)};
    const struct forward_params params = {
        .pool = shard->pool,
        .target = &shard->shared->control,
        .path = buf_str(&path),
        .add = &host,
        .add_count = host.value.len > 0,
        .drops = header_is_ours,
        .on_head = on_head,
        .on_done = on_done,
        .ctx = pass,
    };
    pass->forward = forward_start(ex, &params);
    buf_fini(&path);
}

void pass_end_streams(struct shard *shard)
{
    LIST_FOR_EACH (struct pass, pass, &shard->passes, node) {
        if (!pass->is_stream)
            continue;
        pass->is_ended = true;
        forward_cancel(pass->forward, ERR_CLOSED, "the gateway is stopping");
    }
}
