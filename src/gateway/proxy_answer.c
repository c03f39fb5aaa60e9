/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/num.h"
#include "gateway/proxy_priv.h"

#include <stdio.h>

static int64_t now_us(const struct proxy *p)
{
    return clock_mono_us(loop_clock(p->shard->loop));
}

/* ---- the head ---- */

static struct str media_type(const struct http_response_head *head)
{
    struct str type = http_headers_get(&head->headers, "Content-Type");
    return str_trim(str_sub(type.ptr, str_find(type, ';')));
}

/* The instance itself says that it can't serve now. */
static bool is_unavailable(unsigned status)
{
    return status == 502 || status == 503 || status == 504;
}

static void expect_events(struct proxy *p, struct forward *forward)
{
    bool hides_usage = !p->request || !p->request->asks_usage;
    p->kind = ANSWER_EVENTS;
    p->filter = &p->store.filter;
    enum operation operation = p->is_translated ? OPERATION_CHAT : p->route->operation;
    stream_filter_init(p->filter, operation, hides_usage && !p->is_translated, p->started_us);
    forward_rewrite(forward);
    proxy_keepalive_start(p);
}

/* An engine without Anthropic's API says so; what it says of a model, it would say again. */
static bool lacks_anthropic(const struct proxy *p, unsigned status)
{
    return p->route->dialect == DIALECT_ANTHROPIC && !p->is_translated && !p->passes_body &&
           (status == 404 || status == 405 || status == 501);
}

/* Hugging Face's text-embeddings-inference tells a rerank's tokens nowhere else. */
static void note_header_tokens(struct proxy *p, const struct http_response_head *head)
{
    struct str text = http_headers_get(&head->headers, "x-compute-tokens");
    p->has_header_tokens = num_parse_i64(text, 0, USAGE_TOKENS_MAX, &p->header_tokens) == 0;
}

static void expect_plain(struct proxy *p, struct forward *forward,
                         const struct http_response_head *head)
{
    p->kind = p->is_translated ? ANSWER_TAKEN : ANSWER_PLAIN;
    if (p->is_translated) {
        forward_take(forward);
        p->retry_after = str_dup(http_headers_get(&head->headers, "Retry-After"));
    }
    note_header_tokens(p, head);
    if (!str_eq_nocase(media_type(head), STR("application/json")))
        return;
    p->usage_scan = &p->store.usage_scan;
    usage_scan_init(p->usage_scan);
}

void proxy_on_head(struct forward *forward, const struct http_response_head *head, void *ctx)
{
    struct proxy *p = ctx;
    if (is_unavailable(head->status) && proxy_may_ask_again(p)) {
        char text[32];
        snprintf(text, sizeof text, "it answered %u", head->status);
        forward_cancel(forward, ERR_UNAVAILABLE, text);
        return;
    }
    if (lacks_anthropic(p, head->status)) {
        proxy_must_translate(p);
        forward_cancel(forward, ERR_UNAVAILABLE, "it doesn't speak Anthropic's API");
        return;
    }
    p->status = head->status;
    if (!is_unavailable(head->status))
        lease_answered(&p->lease, loop_now_ms(p->shard->loop));
    bool is_events =
        head->status == 200 && str_eq_nocase(media_type(head), STR("text/event-stream"));
    proxy_set_phase(p, is_events ? PHASE_STREAMING : PHASE_BODY);
    if (is_events)
        expect_events(p, forward);
    else
        expect_plain(p, forward, head);
}

/* ---- the body ---- */

static void send_events(struct str data, void *ctx)
{
    struct proxy *p = ctx;
    struct buf translated = {0};
    if (p->is_translated) {
        translation_feed(p->translation, data, &translated);
        data = buf_str(&translated);
    }
    p->response_bytes += data.len;
    if (data.len)
        forward_send(p->forward, data);
    buf_fini(&translated);
}

/* Whether this is the first piece of the response. */
static bool note_first_byte(struct proxy *p, int64_t at_us)
{
    if (p->first_byte_us)
        return false;
    p->first_byte_us = at_us;
    timer_stop(&p->first_byte);
    if (!forward_body_is_sent(p->forward))
        return true;
    body_fini(&p->body); /* nobody is asked again */
    if (p->translation)
        translation_drop_body(p->translation);
    return true;
}

/* Tokens count as they pass: a long stream is no silence. */
static void note_tokens(struct proxy *p)
{
    const struct stream_filter *filter = p->filter;
    if (!p->live.model || filter->content_chunks == p->live_tokens)
        return;
    if (p->live_tokens == 0)
        live_note_first_token(p->live.model, filter->first_us - filter->started_us);
    live_add(p->live.model, LIVE_TOKENS_OUT, filter->content_chunks - p->live_tokens);
    p->live_tokens = filter->content_chunks;
}

/* The client has got an error event for what can't be translated: what follows is of no use. */
static void end_untranslatable(struct proxy *p, struct forward *forward)
{
    const char *fault = p->is_translated ? translation_fault(p->translation) : NULL;
    if (fault)
        forward_cancel(forward, ERR_PROTOCOL, fault);
}

void proxy_on_body(struct forward *forward, struct str data, void *ctx)
{
    struct proxy *p = ctx;
    int64_t at_us = now_us(p);
    bool is_first = note_first_byte(p, at_us);
    if (p->kind == ANSWER_EVENTS) {
        p->last_piece_ms = loop_now_ms(p->shard->loop);
        stream_filter_feed(p->filter, data, at_us, send_events, p);
        note_tokens(p);
        metrics_observe(p->shard->metrics,
                        is_first ? METRICS_ADDED_FIRST_BYTE : METRICS_ADDED_EVENT,
                        now_us(p) - at_us);
        end_untranslatable(p, forward);
        return;
    }
    if (p->usage_scan)
        usage_scan_feed(p->usage_scan, data);
    if (p->kind == ANSWER_PLAIN)
        p->response_bytes += data.len;
    else if (!translation_keep(p->translation, data))
        forward_cancel(forward, ERR_TOO_LARGE, "its response is too large to be translated");
}

/* ---- the end ---- */

/* The last event of a stream that broke off, behind the empty line that ends a half one. */
static void write_cut_event(const struct proxy *p, enum fault fault, const char *text,
                            struct buf *out)
{
    auto_free char *message = mem_printf("the engine broke the response off: %s", text);
    if (p->is_translated) {
        translation_fail(p->translation, fault_status(fault), message, out);
        return;
    }
    if (p->filter->is_inside)
        buf_add_cstr(out, "\n\n");
    fault_write_event(fault, p->route->dialect, message, &p->id, out);
}

/* The engine has ended its stream without saying that it is over. */
static void note_no_end(struct proxy *p)
{
    p->is_cut = true;
    metrics_add(p->shard->metrics, METRICS_STREAM_NO_END, 1);
    lease_warn(&p->lease, loop_now_ms(p->shard->loop), "a stream ended without its last event");
}

/* What the client's stream lacks when the engine's was complete. */
static void end_translated(struct proxy *p, struct forward *forward)
{
    struct buf out = {0};
    if (!p->is_translated)
        return;
    translation_end(p->translation, &out);
    if (translation_fault(p->translation))
        note_no_end(p);
    p->response_bytes += out.len;
    if (out.len)
        forward_send(forward, buf_str(&out));
    buf_fini(&out);
}

void proxy_end_taken(struct proxy *p)
{
    static const struct http_exchange_ops none;
    struct http_exchange *ex = TAKE(p->ex);
    struct buf out = {0};
    struct http_header headers[PROXY_HEADERS_MAX + 2] = {
        {STR("Content-Type"), STR("application/json")}};
    unsigned count = 1;
    if (p->retry_after[0])
        headers[count++] = (struct http_header){STR("Retry-After"), str_of(p->retry_after)};
    memcpy(headers + count, p->reply_headers, sizeof p->reply_headers);
    p->status = translation_finish(p->translation, p->status, &out);
    p->response_bytes = out.len;
    http_exchange_set_ops(ex, &none, NULL);
    http_reply(ex, p->status, headers, count + p->own_header_count + p->limit_header_count,
               buf_str(&out));
    buf_fini(&out);
    proxy_end(p, proxy_outcome(p));
}

/*
 * An end without a word would be taken for success: a stream of events gets a last one that says
 * so, anything else a broken end.
 */
void proxy_on_end(struct forward *forward, void *ctx)
{
    struct proxy *p = ctx;
    timer_stop(&p->first_byte); /* the client may take longer to read what there is */
    timer_stop(&p->keepalive);
    if (p->kind != ANSWER_EVENTS)
        return;
    if (stream_filter_end(p->filter, true)) {
        end_translated(p, forward);
        return;
    }
    note_no_end(p);
    struct buf event = {0};
    write_cut_event(p, FAULT_ENGINE_FAILED, "its stream ended without a last event", &event);
    p->response_bytes += event.len;
    forward_send(forward, buf_str(&event));
    buf_fini(&event);
}

void proxy_end_cut(struct proxy *p, int code, const char *text)
{
    struct http_exchange *ex = TAKE(p->ex);
    static const struct http_exchange_ops none;
    lease_warn(&p->lease, loop_now_ms(p->shard->loop), "a response was broken off: %s", text);
    http_exchange_set_ops(ex, &none, NULL);
    if (p->kind != ANSWER_EVENTS) {
        http_exchange_abort(ex);
    } else {
        if (!stream_filter_end(p->filter, false)) {
            struct buf event = {0};
            write_cut_event(p, code == ERR_TIMEOUT ? FAULT_TIMEOUT : FAULT_ENGINE_FAILED, text,
                            &event);
            p->response_bytes += event.len;
            http_reply_write(ex, buf_str(&event));
            buf_fini(&event);
        }
        http_reply_end(ex);
    }
    proxy_end(p, code == ERR_TIMEOUT ? OUTCOME_TIMEOUT : OUTCOME_CUT);
}
