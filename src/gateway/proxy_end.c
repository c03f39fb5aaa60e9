/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxy_priv.h"

/* ---- tokens ---- */

/* Whether requests of that kind are made of tokens at all. */
static bool has_tokens(enum operation operation)
{
    switch (operation) {
    case OPERATION_CHAT:
    case OPERATION_COMPLETIONS:
    case OPERATION_EMBEDDINGS:
    case OPERATION_RERANK:
    case OPERATION_SCORE:
    case OPERATION_RESPONSES:
    case OPERATION_MODERATIONS:
    case OPERATION_MESSAGES:
        return true;
    case OPERATION_IMAGES:
    case OPERATION_SPEECH:
    case OPERATION_TRANSCRIPTIONS:
    case OPERATION_TRANSLATIONS:
    case OPERATION_COUNT_TOKENS:
    case OPERATION_TOKENIZE:
    case OPERATION_PROXY:
    case OPERATION_COUNT:
        break;
    }
    return false;
}

/* Whether the engine worked on the prompt, as far as we can know. */
static bool was_worked_on(const struct proxy *p)
{
    return p->status ? p->status < 400 : p->phase >= PHASE_WAITING;
}

/* What the engine told, and for what it didn't tell what passed here. */
static void fill_tokens(const struct proxy *p, struct usage_record *record)
{
    struct usage usage = {0};
    int64_t relayed = p->filter ? p->filter->content_chunks : 0;
    if (p->filter)
        usage = p->filter->usage;
    else if (p->usage_scan)
        (void)usage_scan_end(p->usage_scan, &usage);
    if (!was_worked_on(p))
        return;
    if (!usage.has_prompt && p->has_header_tokens) {
        usage.prompt = p->header_tokens;
        usage.has_prompt = true;
    }
    record->prompt_tokens = usage.prompt;
    record->cached_tokens = usage.cached;
    record->completion_tokens = usage.completion > relayed || usage.has_completion
                                    ? usage.completion
                                    : relayed;
    if (!usage.has_prompt && has_tokens(p->route->operation)) {
        record->prompt_tokens = proxy_estimate_prompt(p);
        record->is_estimated = true;
    }
    if (p->filter && !usage.has_completion)
        record->is_estimated = true;
    /* Told in the middle of a stream that was left: what came later counts too. */
    if (record->outcome != OUTCOME_OK && record->completion_tokens < relayed) {
        record->completion_tokens = relayed;
        record->is_estimated = true;
    }
}

/* ---- the record ---- */

static void copy_text(char *ret, size_t room, const char *text)
{
    size_t len = strnlen(text, room - 1);
    memcpy(ret, text, len);
    ret[len] = '\0';
}

static void fill_record(const struct proxy *p, enum outcome outcome, struct usage_record *record)
{
    int64_t end_us = clock_mono_us(loop_clock(p->shard->loop));
    copy_text(record->request_id, sizeof record->request_id, p->id.text);
    copy_text(record->model, sizeof record->model, p->model->model.name);
    copy_text(record->route, sizeof record->route, p->name);
    record->user_id = p->user->id;
    record->key_id = p->key ? p->key->id : 0;
    record->model_id = p->model->id;
    record->instance_id = p->tried.count ? p->tried.ids[p->tried.count - 1] : 0;
    record->operation = p->route->operation;
    record->outcome = outcome;
    record->status = p->status;
    record->is_aborted = outcome == OUTCOME_ABORTED;
    record->phase = p->phase;
    record->is_stream = p->kind == ANSWER_EVENTS;
    record->request_bytes = p->request_bytes;
    record->response_bytes = p->response_bytes;
    record->started_ms = p->started_ms;
    record->queue_us = p->waited_us;
    record->first_byte_us = p->first_byte_us ? p->first_byte_us - p->started_us : 0;
    record->total_us = end_us - p->started_us;
    record->attempts = p->tried.count;
    fill_tokens(p, record);
}

static struct token_times token_times_of(const struct stream_filter *filter)
{
    if (!filter || !filter->first_us)
        return (struct token_times){0};
    return (struct token_times){.first_us = filter->first_us - filter->started_us,
                                .last_us = filter->last_us - filter->started_us};
}

static void proxy_free(struct proxy *p)
{
    metrics_move(p->shard->metrics, METRICS_IN_FLIGHT, -1);
    live_place_set(&p->live, NULL, LIVE_RUNNING);
    if (list_is_linked(&p->waiter.node))
        metrics_move(p->shard->metrics, METRICS_QUEUED, -1);
    queue_leave(&p->waiter);
    timer_stop(&p->first_byte);
    timer_stop(&p->keepalive);
    lease_end(&p->lease, LEASE_ABANDONED, 0);
    body_fini(&p->body);
    buf_fini(&p->served_name);
    proxy_abandon_translation(p);
    translation_free(p->translation);
    if (p->filter)
        stream_filter_fini(p->filter);
    free(p->retry_after);
    free(p->reading);
    free(p->engine_path);
    free(p->target);
    free(p->peer);
    proxy_forget_targets(p);
    entry_unref(p->key);
    entry_unref(p->user);
    proxy_recycle(p);
}

enum outcome proxy_outcome(const struct proxy *p)
{
    if (p->status >= 500)
        return OUTCOME_ENGINE_ERROR;
    if (p->status >= 400)
        return OUTCOME_CLIENT_ERROR;
    if (p->filter && p->filter->has_error)
        return OUTCOME_ENGINE_ERROR;
    return p->is_cut ? OUTCOME_CUT : OUTCOME_OK;
}

void proxy_end(struct proxy *p, enum outcome outcome)
{
    bool is_failure = outcome == OUTCOME_CUT || outcome == OUTCOME_TIMEOUT ||
                      p->status == 502 || p->status == 503 || p->status == 504;
    lease_end(&p->lease,
              outcome == OUTCOME_ABORTED ? LEASE_ABANDONED
              : is_failure               ? LEASE_FAILED
                                         : LEASE_SERVED,
              loop_now_ms(p->shard->loop));
    if (p->model) {
        struct usage_record record = {0};
        fill_record(p, outcome, &record);
        proxy_settle(p, record.prompt_tokens + record.completion_tokens,
                     p->started_us + record.total_us);
        live_note_end(live_model(p->shard->live, p->model->id), &record, p->live_tokens);
        shard_note_record(p->shard, &record, token_times_of(p->filter),
                          &(struct access_request){p->method, str_of(p->target), p->peer});
    }
    proxy_free(p);
}

void proxy_fail(struct proxy *p, enum fault fault, enum outcome outcome, const char *message)
{
    static const struct http_exchange_ops none;
    struct http_exchange *ex = TAKE(p->ex);
    const struct fault_extra extra = {.headers = p->reply_headers + p->own_header_count,
                                      .header_count = p->limit_header_count};
    http_exchange_set_ops(ex, &none, NULL);
    p->response_bytes = fault_reply(ex, fault, p->route->dialect, message, &p->id, &extra);
    p->status = fault_status(fault);
    proxy_end(p, outcome);
}

void proxy_abort(struct proxy *p)
{
    p->ex = NULL;
    proxy_end(p, OUTCOME_ABORTED);
}
