/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "gateway/engine_target.h"
#include "gateway/header_drop.h"
#include "gateway/proxy_priv.h"

#include <errno.h>

static struct entry_span endpoints_of(const struct proxy *p, unsigned target)
{
    return snapshot_endpoints(p->shard->snapshot, p->targets.models[target]->id);
}

bool proxy_may_ask_again(const struct proxy *p)
{
    if (p->passes_body || p->tried.count >= PROXY_ATTEMPTS)
        return false;
    for (unsigned i = 0; i < p->targets.count; i++)
        if (lease_is_possible(endpoints_of(p, i), &p->tried))
            return true;
    return false;
}

bool proxy_take_instance(struct proxy *p)
{
    int64_t now_ms = loop_now_ms(p->shard->loop);
    p->is_model_limited = false;
    for (unsigned i = 0; i < p->targets.count; i++) {
        struct entry *model = p->targets.models[i];
        if (!lease_is_possible(endpoints_of(p, i), &p->tried))
            continue;
        p->model = model; /* also when it refuses: the answer tells its limits */
        if (!proxy_reserve_model(p, model))
            continue;
        if (lease_take(&p->lease, endpoints_of(p, i), &p->tried, now_ms))
            return true;
    }
    return false;
}

/* ---- the body as the engine gets it ---- */

/* Bytes of the body that are replaced; `len` 0: something is put in. */
struct edit {
    uint64_t at, len;
    struct str text;
};

static struct http_body apply_edits(struct str body, const struct edit *edits, unsigned count)
{
    struct http_body ret = {.count = 0};
    uint64_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        ret.parts[ret.count++] = str_sub(body.ptr + at, (size_t)(edits[i].at - at));
        ret.parts[ret.count++] = edits[i].text;
        at = edits[i].at + edits[i].len;
    }
    ret.parts[ret.count++] = str_skip(body, (size_t)at);
    return ret;
}

/* What makes the engine tell the usage of a stream, where the client didn't ask for it. */
static bool ask_usage(const struct proxy *p, struct edit *ret)
{
    const struct scan_request *request = p->request;
    bool is_openai = p->route->operation == OPERATION_CHAT ||
                     p->route->operation == OPERATION_COMPLETIONS;
    if (!request || !is_openai || !request->stream || request->asks_usage)
        return false;
    if (request->usage_value.len)
        *ret = (struct edit){request->usage_value.at, request->usage_value.len, STR("true")};
    else if (!request->options_value.len)
        *ret = (struct edit){request->open_at, 0,
                             STR("\"stream_options\":{\"include_usage\":true},")};
    else if (request->options_value.len == strlen("null") && !request->options_is_empty)
        *ret = (struct edit){request->options_value.at, request->options_value.len,
                             STR("{\"include_usage\":true}")};
    else
        *ret = (struct edit){request->options_value.at + 1, 0,
                             request->options_is_empty ? STR("\"include_usage\":true")
                                                       : STR("\"include_usage\":true,")};
    return true;
}

static const char *served_name(const struct proxy *p)
{
    const char *served = p->lease.endpoint->endpoint.served_name;
    return *served ? served : p->model->model.name;
}

/* Writes the name that the engine knows the model by, where the client's is another. */
static bool rename_model(struct proxy *p, struct edit *ret)
{
    const char *served = served_name(p);
    if (strcmp(served, p->name) == 0)
        return false;
    const struct scan_span *value = p->request ? &p->request->model_value : &p->form_model;
    buf_clear(&p->served_name);
    if (p->request) {
        struct json_writer w = json_writer_into(&p->served_name);
        json_add_cstring(&w, served);
    } else {
        buf_add_cstr(&p->served_name, served);
    }
    *ret = (struct edit){value->at, value->len, buf_str(&p->served_name)};
    return true;
}

static struct http_body engine_body(struct proxy *p)
{
    if (p->is_translated)
        return translation_body(p->translation, served_name(p));
    struct edit edits[2], swapped;
    unsigned count = 0;
    count += rename_model(p, &edits[count]);
    count += ask_usage(p, &edits[count]);
    if (count == 2 && edits[1].at < edits[0].at) {
        swapped = edits[0];
        edits[0] = edits[1];
        edits[1] = swapped;
    }
    return apply_edits(body_str(&p->body), edits, count);
}

/* ---- the end of an attempt ---- */

/*
 * Only what surely did no work is repeated elsewhere: a connection that couldn't be made, and an
 * instance that itself said that it can't. A request that broke an engine must not break the next.
 */
static bool is_repeatable(const struct proxy *p, int code)
{
    return code == ERR_UNAVAILABLE || !forward_path(p->forward).was_connected;
}

static void reply_failed(struct proxy *p, const char *instance, int code, const char *text)
{
    bool was_connected = forward_path(p->forward).was_connected;
    bool is_away = !was_connected || code == ERR_UNAVAILABLE; /* or says so itself */
    auto_free char *message = mem_printf("the instance %s of the model '%s' did not answer: %s",
                                         instance, p->name, text);
    if (code == ERR_TIMEOUT && was_connected)
        proxy_fail(p, FAULT_TIMEOUT, OUTCOME_TIMEOUT, message);
    else
        proxy_fail(p, is_away ? FAULT_ENGINE_AWAY : FAULT_ENGINE_FAILED, OUTCOME_ENGINE_ERROR,
                   message);
}

/* Many clients leave with the last event, before the end of the response: they have all of it. */
static void on_client_gone(struct proxy *p)
{
    p->ex = NULL;
    if (p->filter && p->filter->is_over) {
        proxy_end(p, proxy_outcome(p));
        return;
    }
    if (p->phase == PHASE_CONNECTING && forward_path(p->forward).was_connected)
        proxy_set_phase(p, PHASE_WAITING);
    proxy_abort(p);
}

/* A want of our own says nothing of the instance. */
static enum lease_end lease_end_of(int code)
{
    bool is_ours = code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM ||
                   code == -EADDRNOTAVAIL;
    return is_ours ? LEASE_ABANDONED : LEASE_FAILED;
}

/* No byte of a response came, or one that isn't passed on. */
static void on_failed(struct proxy *p, int code, const char *text)
{
    if (code == ERR_TOO_LARGE && p->passes_body) {
        lease_end(&p->lease, LEASE_ABANDONED, loop_now_ms(p->shard->loop));
        proxy_refuse_size(p);
        return;
    }
    if (p->must_translate) {
        proxy_ask(p); /* the same instance, in the words that it knows */
        return;
    }
    int64_t now_ms = loop_now_ms(p->shard->loop);
    bool again = is_repeatable(p, code) && proxy_may_ask_again(p);
    auto_free char *instance = mem_strdup(p->lease.endpoint->endpoint.name);
    lease_warn(&p->lease, now_ms, "a request failed before its response began: %s", text);
    lease_end(&p->lease, lease_end_of(code), now_ms);
    if (!again || !proxy_take_instance(p)) {
        reply_failed(p, instance, code, text);
        return;
    }
    metrics_add(p->shard->metrics,
                code == ERR_UNAVAILABLE ? METRICS_RETRY_STATUS : METRICS_RETRY_CONNECT, 1);
    proxy_ask(p);
}

static void note_path(struct proxy *p, struct http_call_path path)
{
    struct shard_metrics *metrics = p->shard->metrics;
    if (path.was_connected)
        metrics_add(metrics, path.is_reused ? METRICS_ENGINE_REUSED : METRICS_ENGINE_NEW, 1);
    if (path.was_stale)
        metrics_add(metrics, METRICS_STALE_RETRIES, 1);
}

static void on_done(struct forward *forward, enum forward_outcome outcome, int code,
                    const char *text, void *ctx)
{
    struct proxy *p = ctx;
    timer_stop(&p->first_byte);
    timer_stop(&p->keepalive);
    note_path(p, forward_path(forward));
    switch (outcome) {
    case FORWARD_DONE:
        p->ex = NULL;
        proxy_end(p, proxy_outcome(p));
        break;
    case FORWARD_CLIENT_GONE:
        on_client_gone(p);
        break;
    case FORWARD_BAD_BODY:
        lease_end(&p->lease, LEASE_ABANDONED, loop_now_ms(p->shard->loop));
        proxy_fail(p, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR, text);
        break;
    case FORWARD_FAILED:
        on_failed(p, code, text);
        break;
    case FORWARD_CUT:
        proxy_end_cut(p, code, text);
        break;
    case FORWARD_TAKEN:
        proxy_end_taken(p);
        break;
    }
}

/* ---- an attempt ---- */

/* The time counts from the last of the body: until then the engine waits as well. */
static void start_first_byte(struct proxy *p)
{
    int64_t timeout_ms = p->model->model.first_byte_timeout_ms;
    if (timeout_ms > 0)
        timer_start(&p->first_byte, timeout_ms);
}

static void on_streamed_body(struct forward *forward, struct str data, void *ctx)
{
    struct proxy *p = ctx;
    uint64_t max = p->shard->shared->settings.body_max;
    if (data.len > max - p->request_bytes) {
        forward_cancel(forward, ERR_TOO_LARGE, "the request's body is too large");
        return;
    }
    p->request_bytes += data.len;
    if (p->first_byte_us == 0)
        start_first_byte(p);
}

static void on_first_byte_late(struct timer *timer, void *ctx)
{
    struct proxy *p = ctx;
    struct err err;
    (void)timer;
    bool was_connected = forward_path(p->forward).was_connected; /* that has a limit of its own */
    if (!was_connected || forward_awaits_body(p->forward)) {
        start_first_byte(p);
        return;
    }
    err_set(&err, ERR_TIMEOUT, "no byte of its response came within %lld ms",
            (long long)p->model->model.first_byte_timeout_ms);
    forward_cancel(p->forward, ERR_TIMEOUT, err.text);
}

static void arm_first_byte(struct proxy *p)
{
    timer_init(&p->first_byte, p->shard->loop, on_first_byte_late, p);
    start_first_byte(p);
}

static const char *path_of(const struct proxy *p)
{
    if (p->is_translated)
        return translation_path(p->translation);
    return p->engine_path ? p->engine_path : p->route->engine_path;
}

void proxy_ask(struct proxy *p)
{
    struct engine_target to;
    struct http_header add[ARRAY_LEN(to.headers) + 1];
    proxy_set_phase(p, PHASE_CONNECTING);
    if (!proxy_translate(p))
        return;
    engine_target_init(&to, p->lease.endpoint, p->shard->shared->netns_id, str_of(path_of(p)));
    memcpy(add, to.headers, to.header_count * sizeof add[0]);
    add[to.header_count] = request_id_header(&p->id);
    proxy_add_limit_headers(p, NULL);
    const struct forward_params params = {
        .pool = p->shard->pool,
        .target = &to.target,
        .path = to.path,
        .add = add,
        .add_count = to.header_count + 1,
        .drops = header_is_kept_from_engines,
        .reply_drops = header_is_kept_from_clients,
        .reply_add = p->reply_headers,
        .reply_add_count = p->own_header_count + p->limit_header_count,
        .body = p->passes_body ? (struct http_body){.count = 0} : engine_body(p),
        .idle_timeout_ms = PROXY_IDLE_TIMEOUT_MS,
        .on_request_body = on_streamed_body,
        .on_head = proxy_on_head,
        .on_body = proxy_on_body,
        .on_end = proxy_on_end,
        .on_done = on_done,
        .ctx = p,
    };
    bool is_first = !p->forward;
    p->forward = forward_start(p->ex, &params);
    arm_first_byte(p);
    engine_target_fini(&to);
    if (is_first)
        metrics_observe(p->shard->metrics, METRICS_ADDED_REQUEST,
                        clock_mono_us(loop_clock(p->shard->loop)) - p->started_us - p->waited_us);
}
