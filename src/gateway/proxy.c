/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/models.h"
#include "gateway/proxy_priv.h"

#include "base/log.h"

#include <errno.h>

/* What authenticate() said no with. */
static enum fault fault_of(int rc)
{
    return rc == ERR_FORBIDDEN ? FAULT_NOT_PERMITTED : FAULT_BAD_CREDENTIALS;
}

bool proxy_admit(const struct shard *shard, struct http_exchange *ex, enum dialect dialect,
                 const struct request_id *id, int64_t now_ms, struct identity *ret)
{
    struct err err = {0};
    if (!shard->snapshot) {
        fault_reply(ex, FAULT_NOT_READY, dialect,
                    "the gateway has received no state from control yet", id, NULL);
        return false;
    }
    int rc = authenticate(shard->snapshot, shard->auth_cache, &http_exchange_head(ex)->headers,
                          now_ms, ret, &err);
    if (rc == 0)
        return true;
    fault_reply(ex, fault_of(rc), dialect, err.text, id, NULL);
    return false;
}

void proxy_set_phase(struct proxy *p, enum phase phase)
{
    p->phase = phase;
    if (p->model)
        live_place_set(&p->live, live_model(p->shard->live, p->model->id),
                       phase == PHASE_QUEUED ? LIVE_WAITING : LIVE_RUNNING);
}

/* ---- which model ---- */

/* Names are no longer than the scanners and the path's parser let them be. */
static const char *keep_name(struct proxy *p, const char *name)
{
    size_t len = strnlen(name, SCAN_MODEL_MAX);
    char *kept = p->store.request.model;
    memmove(kept, name, len); /* it may be this one */
    kept[len] = '\0';
    return kept;
}

void proxy_forget_targets(struct proxy *p)
{
    while (p->targets.count > 0)
        entry_unref(p->targets.models[--p->targets.count]);
    p->model = NULL;
}

/* Sets targets and name; false when the request was refused, with those that it had before. */
static bool look_up(struct proxy *p, const char *name)
{
    struct err err = {0};
    enum fault fault;
    struct targets targets;
    if (!models_find(p->shard->snapshot, p->key, name, p->shard->turn++, &targets, &fault, &err)) {
        proxy_fail(p, fault, OUTCOME_CLIENT_ERROR, err.text);
        return false;
    }
    proxy_forget_targets(p);
    for (unsigned i = 0; i < targets.count; i++)
        p->targets.models[p->targets.count++] = entry_ref(targets.models[i]);
    p->model = p->targets.models[0];
    p->name = keep_name(p, name);
    return true;
}

static void set_identity(struct proxy *p, const struct identity *identity)
{
    struct entry *user = p->user, *key = p->key;
    p->user = entry_ref(identity->user);
    p->key = identity->key ? entry_ref(identity->key) : NULL;
    entry_unref(user);
    entry_unref(key);
}

/*
 * What was decided by the request's head may have changed while its body came or it waited: keys
 * are revoked, routes are moved. False when it was refused.
 */
static bool is_still_allowed(struct proxy *p)
{
    const struct snapshot *snapshot = p->shard->snapshot;
    struct identity identity;
    struct err err = {0};
    if (p->snapshot_number == snapshot->number)
        return true;
    p->snapshot_number = snapshot->number;
    int rc = authenticate(snapshot, p->shard->auth_cache, &http_exchange_head(p->ex)->headers,
                          clock_wall_ms(loop_clock(p->shard->loop)), &identity, &err);
    if (rc < 0) {
        proxy_fail(p, fault_of(rc), OUTCOME_CLIENT_ERROR, err.text);
        return false;
    }
    set_identity(p, &identity);
    return look_up(p, p->name);
}

/* ---- which instance ---- */

static void on_client_close(struct http_exchange *ex, bool gone, void *ctx)
{
    (void)ex, (void)gone;
    proxy_abort(ctx);
}

const struct http_exchange_ops proxy_waiting_ops = {.on_close = on_client_close};

static void fail_without_instance(struct proxy *p)
{
    auto_free char *message =
        targets_are_wanted(p->shard->snapshot, &p->targets)
            ? mem_printf("the model '%s' has no instance that is ready now", p->name)
            : mem_printf("the model '%s' is stopped: no instance of it is meant to run", p->name);
    proxy_fail(p, FAULT_NO_INSTANCE, OUTCOME_NO_INSTANCE, message);
}

static void on_turn(struct waiter *waiter, bool is_late)
{
    struct proxy *p = CONTAINER_OF(waiter, struct proxy, waiter);
    p->waited_us += clock_mono_us(loop_clock(p->shard->loop)) - p->queued_us;
    metrics_move(p->shard->metrics, METRICS_QUEUED, -1);
    if (is_late)
        fail_without_instance(p);
    else
        proxy_choose(p);
}

bool proxy_is_servable(struct waiter *waiter)
{
    const struct proxy *p = CONTAINER_OF(waiter, struct proxy, waiter);
    return p->snapshot_number != p->shard->snapshot->number ||
           targets_are_served(p->shard->snapshot, &p->targets) ||
           !targets_are_wanted(p->shard->snapshot, &p->targets); /* it has its answer */
}

static void wait_for_instance(struct proxy *p)
{
    const struct gateway_settings *settings = &p->shard->shared->settings;
    if (settings->queue_timeout_ms == 0 ||
        !targets_are_wanted(p->shard->snapshot, &p->targets)) {
        fail_without_instance(p);
        return;
    }
    proxy_set_phase(p, PHASE_QUEUED);
    p->queued_us = clock_mono_us(loop_clock(p->shard->loop));
    http_exchange_set_ops(p->ex, &proxy_waiting_ops, p);
    int64_t now_ms = loop_now_ms(p->shard->loop);
    p->wait_until_ms = p->wait_until_ms ? p->wait_until_ms : now_ms + settings->queue_timeout_ms;
    int64_t left_ms = p->wait_until_ms > now_ms ? p->wait_until_ms - now_ms : 0;
    if (queue_enter(&p->shard->queue, &p->waiter, p->model->id, left_ms, on_turn)) {
        metrics_move(p->shard->metrics, METRICS_QUEUED, 1);
        return;
    }
    auto_free char *message = mem_printf("%u requests wait for an instance of the model '%s' "
                                         "already, as many as may",
                                         settings->queue_max, p->name);
    proxy_fail(p, FAULT_QUEUE_FULL, OUTCOME_NO_INSTANCE, message);
}

void proxy_choose(struct proxy *p)
{
    if (!is_still_allowed(p))
        return;
    if (proxy_take_instance(p))
        proxy_ask(p);
    else if (p->is_model_limited)
        proxy_refuse_model(p);
    else
        wait_for_instance(p);
}

/* ---- the body ---- */

static struct reading *take_reading(struct shard *shard)
{
    struct reading *reading = TAKE(shard->spare_reading);
    if (!reading)
        return mem_alloc(sizeof *reading);
    reading->is_form = false;
    return reading;
}

/* One is kept: most bodies come with their heads, and then only one is read at a time. */
static void recycle_reading(struct shard *shard, struct reading *reading)
{
    free(shard->spare_reading);
    shard->spare_reading = reading;
}

static int feed(struct proxy *p, struct str piece, struct err *err)
{
    return p->reading->is_form ? multipart_feed(&p->reading->form, piece, err)
                               : scan_feed(&p->reading->scan, piece, err);
}

static const char *model_so_far(const struct reading *reading)
{
    if (reading->is_form)
        return multipart_has_model(&reading->form) ? reading->form.model : NULL;
    return scan_has_model(&reading->scan) ? reading->scan.request.model : NULL;
}

/* Looks the model up as soon as it is known: what can't be served needn't be sent. */
static bool note_model(struct proxy *p)
{
    const char *name = p->model ? NULL : model_so_far(p->reading);
    return !name || look_up(p, name);
}

void proxy_refuse_size(struct proxy *p)
{
    auto_free char *message =
        mem_printf("the body is larger than %llu bytes, the most that is taken",
                   (unsigned long long)p->shard->shared->settings.body_max);
    proxy_fail(p, FAULT_BODY_TOO_LARGE, OUTCOME_CLIENT_ERROR, message);
}

static void refuse_storing(struct proxy *p, const struct err *err)
{
    log_error("gateway", "request %s: %s", p->id.text, err->text);
    proxy_fail(p, FAULT_NO_ROOM, OUTCOME_ENGINE_ERROR,
               "the gateway has no room for a body of this size now");
}

static void on_request_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct proxy *p = ctx;
    struct err err = {0};
    (void)ex;
    if (data.len > p->shard->shared->settings.body_max - p->request_bytes) {
        proxy_refuse_size(p);
        return;
    }
    p->request_bytes += data.len;
    if (body_add(&p->body, data, &err) < 0) {
        refuse_storing(p, &err);
        return;
    }
    int rc = feed(p, data, &err);
    /* Also before a fault: however the bytes were cut, the answer and the record are the same. */
    if (note_model(p) && rc < 0)
        proxy_fail(p, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR, err.text);
}

static int end_form(struct proxy *p, struct err *err)
{
    const struct multipart *form = &p->reading->form;
    int rc = multipart_end(&p->reading->form, err);
    p->form_model = form->model_value;
    p->is_stream = form->stream;
    p->prompt_bytes = form->text_bytes;
    return rc;
}

static int end_json(struct proxy *p, struct err *err)
{
    int rc = scan_end(&p->reading->scan, err);
    if (rc < 0)
        return rc;
    p->request = &p->store.request;
    *p->request = p->reading->scan.request;
    p->is_stream = p->request->stream;
    p->prompt_bytes = p->request->prompt_bytes;
    return 0;
}

static void on_request_end(struct http_exchange *ex, void *ctx)
{
    struct proxy *p = ctx;
    struct err err = {0};
    (void)ex;
    int rc = p->reading->is_form ? end_form(p, &err) : end_json(p, &err);
    if (rc < 0) {
        proxy_fail(p, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR, err.text);
        return;
    }
    if (!note_model(p))
        return;
    if (!p->model) {
        proxy_fail(p, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR,
                   p->reading->is_form ? "the form must have a field named model"
                                       : "the body must name a model: {\"model\": \"NAME\", ...}");
        return;
    }
    recycle_reading(p->shard, TAKE(p->reading));
    if (body_finish(&p->body, &err) < 0)
        refuse_storing(p, &err);
    else if (proxy_reserve(p))
        proxy_choose(p);
}

static void on_bad_body(struct http_exchange *ex, const char *text, void *ctx)
{
    (void)ex;
    proxy_fail(ctx, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR, text);
}

static const struct http_exchange_ops reading_ops = {
    .on_body = on_request_body,
    .on_end = on_request_end,
    .on_bad_body = on_bad_body,
    .on_close = on_client_close,
};

static int begin_reading(struct proxy *p, struct err *err)
{
    struct str type = http_headers_get(&http_exchange_head(p->ex)->headers, "Content-Type");
    static const struct str form = STR("multipart/form-data");
    p->reading = take_reading(p->shard);
    p->reading->is_form = type.len >= form.len && str_eq_nocase(str_sub(type.ptr, form.len), form);
    if (p->reading->is_form)
        return multipart_init(&p->reading->form, type, err);
    scan_init(&p->reading->scan);
    return 0;
}

static void read_body(struct proxy *p)
{
    const struct http_request_head *head = http_exchange_head(p->ex);
    struct err err = {0};
    http_exchange_set_ops(p->ex, &reading_ops, p);
    if (head->body == HTTP_BODY_LENGTH &&
        head->content_length > p->shard->shared->settings.body_max)
        proxy_refuse_size(p);
    else if (begin_reading(p, &err) < 0)
        proxy_fail(p, FAULT_BAD_BODY, OUTCOME_CLIENT_ERROR, err.text);
    else if (head->body == HTTP_BODY_LENGTH)
        body_expect(&p->body, head->content_length);
}

/* ---- a path of the model's own ---- */

/* Finds the model that the path names; false when the request was refused. */
static bool look_up_in_path(struct proxy *p, struct str rest)
{
    struct err err = {0};
    struct str encoded, path;
    auto_free char *name = NULL;
    if (!route_split_proxy(rest, &encoded, &path) ||
        http_percent_decode(encoded, &name, &err) < 0) {
        proxy_fail(p, FAULT_PATH_UNKNOWN, OUTCOME_CLIENT_ERROR,
                   "this isn't a path that an engine may be asked for");
        return false;
    }
    if (!look_up(p, name))
        return false;
    if (!p->model->model.generic_proxy) {
        auto_free char *message =
            mem_printf("the model '%s' has no generic_proxy: its engine's own paths are closed",
                       p->name);
        proxy_fail(p, FAULT_PROXY_OFF, OUTCOME_CLIENT_ERROR, message);
        return false;
    }
    struct str query = http_exchange_head(p->ex)->query;
    p->engine_path = mem_printf("%.*s%s%.*s", STR_ARGS(path), query.len ? "?" : "",
                                STR_ARGS(query));
    return true;
}

/* What an engine serves there must not act in a browser that has a session with us. */
static void add_safety_headers(struct proxy *p)
{
    struct http_header *at = p->reply_headers + p->own_header_count;
    at[0] = (struct http_header){STR("Content-Security-Policy"), STR("sandbox")};
    at[1] = (struct http_header){STR("X-Content-Type-Options"), STR("nosniff")};
    p->own_header_count += PROXY_SAFETY_HEADERS;
}

/* The body isn't ours to understand: it streams through, and there is one attempt only. */
static void pass_through(struct proxy *p, struct str rest)
{
    const struct http_request_head *head = http_exchange_head(p->ex);
    p->passes_body = true;
    http_exchange_set_ops(p->ex, &proxy_waiting_ops, p);
    add_safety_headers(p);
    if (head->body == HTTP_BODY_LENGTH &&
        head->content_length > p->shard->shared->settings.body_max) {
        proxy_refuse_size(p);
        return;
    }
    if (!look_up_in_path(p, rest) || !proxy_reserve(p))
        return;
    if (proxy_take_instance(p))
        proxy_ask(p);
    else if (p->is_model_limited)
        proxy_refuse_model(p);
    else
        fail_without_instance(p);
}

/* ---- the start ---- */

static struct proxy *take_spare(struct shard *shard)
{
    struct spare *spare = shard->spare_proxies;
    if (!spare)
        return mem_alloc(sizeof(struct proxy));
    shard->spare_proxies = spare->next;
    shard->spare_count--;
    return memset(spare, 0, offsetof(struct proxy, store));
}

void proxy_recycle(struct proxy *p)
{
    struct shard *shard = p->shard;
    struct spare *spare = (struct spare *)p;
    if (shard->spare_count == PROXY_SPARES_MAX) {
        free(p);
        return;
    }
    spare->next = shard->spare_proxies;
    shard->spare_proxies = spare;
    shard->spare_count++;
}

/* What of the request the access log tells, after the exchange is gone. */
static void note_for_log(struct proxy *p)
{
    const struct http_request_head *head = http_exchange_head(p->ex);
    p->method = http_method_name(head->method);
    p->target = str_dup(head->target);
    p->peer = mem_strdup(http_exchange_peer(p->ex));
}

static struct proxy *proxy_new(struct shard *shard, struct http_exchange *ex,
                               const struct route *route, const struct identity *identity,
                               int64_t now_ms)
{
    struct proxy *p = take_spare(shard);
    p->shard = shard;
    p->ex = ex;
    p->route = route;
    set_identity(p, identity);
    p->snapshot_number = shard->snapshot->number;
    p->started_us = clock_mono_us(loop_clock(shard->loop));
    p->started_ms = now_ms;
    body_init(&p->body, &shard->spool);
    metrics_move(shard->metrics, METRICS_IN_FLIGHT, 1);
    if (shard->shared->access_log)
        note_for_log(p);
    return p;
}

void proxy_start(struct shard *shard, struct http_exchange *ex, const struct route_match *match)
{
    struct identity identity;
    struct request_id id;
    int64_t now_ms = clock_wall_ms(loop_clock(shard->loop));
    request_id_set(&id, &http_exchange_head(ex)->headers);
    if (!proxy_admit(shard, ex, match->dialect, &id, now_ms, &identity))
        return;
    struct proxy *p = proxy_new(shard, ex, match->route, &identity, now_ms);
    p->id = id;
    p->own_header_count = request_id_reply_headers(&p->id, match->dialect == DIALECT_ANTHROPIC,
                                                  p->reply_headers);
    if (match->route->action == ROUTE_PROXY)
        pass_through(p, match->rest);
    else
        read_body(p);
}
