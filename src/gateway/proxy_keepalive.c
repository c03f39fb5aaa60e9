/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy_priv.h"

/* What a client passes over: a comment, or where there is one the dialect's own event for it. */
static struct str sign_of_life(const struct proxy *p)
{
    return p->route->dialect == DIALECT_ANTHROPIC
               ? STR("event: ping\ndata: {\"type\":\"ping\"}\n\n")
               : STR(": keep-alive\n\n");
}

/* The timer is left alone while events come: when it fires too early, it is set again. */
static void on_silence(struct timer *timer, void *ctx)
{
    struct proxy *p = ctx;
    int64_t interval_ms = p->shard->shared->settings.sse_keepalive_ms;
    int64_t left_ms = p->last_piece_ms + interval_ms - loop_now_ms(p->shard->loop);
    if (left_ms > 0) {
        timer_start(timer, left_ms);
        return;
    }
    if (!p->filter->is_inside && !p->filter->is_over) {
        struct str sign = sign_of_life(p);
        p->response_bytes += sign.len;
        forward_send(p->forward, sign);
    }
    timer_start(timer, interval_ms);
}

void proxy_keepalive_start(struct proxy *p)
{
    int64_t interval_ms = p->shard->shared->settings.sse_keepalive_ms;
    if (interval_ms == 0)
        return;
    p->last_piece_ms = loop_now_ms(p->shard->loop);
    timer_init(&p->keepalive, p->shard->loop, on_silence, p);
    timer_start(&p->keepalive, interval_ms);
}
