/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/probe.h"

#include <stdio.h>

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct probe *probe = ctx;
    probe->status = head->status;
}

static void finish(struct probe *probe, bool serves, const char *text)
{
    probe->call = NULL;
    timer_start(&probe->timer, probe->interval_ms);
    probe->cb(probe, serves, text, probe->ctx);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct probe *probe = ctx;
    char text[64];
    snprintf(text, sizeof text, "answers with HTTP %u", probe->status);
    finish(probe, probe->status == 200, probe->status == 200 ? NULL : text);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    finish(ctx, false, text);
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_end = on_end, .on_error = on_error};

static void ask(struct timer *timer, void *ctx)
{
    struct probe *probe = ctx;
    struct http_call_params params = {.target = &probe->target,
                                      .method = HTTP_GET,
                                      .path = str_of(probe->path),
                                      .connect_timeout_ms = PROBE_TIMEOUT_MS,
                                      .head_timeout_ms = PROBE_TIMEOUT_MS,
                                      .idle_timeout_ms = PROBE_TIMEOUT_MS};
    probe->status = 0;
    probe->call = http_call_start(probe->pool, &params, &ops, probe);
}

void probe_init(struct probe *probe, struct loop *loop, struct http_pool *pool, probe_cb *cb,
                void *ctx)
{
    probe->pool = pool;
    probe->cb = cb;
    probe->ctx = ctx;
    timer_init(&probe->timer, loop, ask, probe);
}

void probe_start(struct probe *probe, unsigned port, const char *path, int64_t interval_ms)
{
    probe_stop(probe);
    probe->target = (struct http_target){.host = "127.0.0.1", .port = port};
    probe->path = mem_strdup(path);
    probe->interval_ms = interval_ms;
    ask(&probe->timer, probe);
}

void probe_stop(struct probe *probe)
{
    if (!probe->path)
        return;
    timer_stop(&probe->timer);
    http_call_cancel(probe->call);
    probe->call = NULL;
    http_pool_forget(probe->pool, &probe->target);
    free(TAKE(probe->path));
}
