/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/live_send.h"

#include "base/log.h"
#include "base/random.h"

#include <string.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

enum { TIMEOUT_MS = 5000, BUCKETS = HISTOGRAM_BOUNDS_MAX + 1 };

static const char *const count_names[LIVE_COUNTS] = {
    [LIVE_REQUESTS] = "requests",
    [LIVE_ERRORS] = "errors",
    [LIVE_TOKENS_IN] = "tokens_in",
    [LIVE_TOKENS_OUT] = "tokens_out",
};
static const char *const gauge_names[LIVE_GAUGES] = {[LIVE_RUNNING] = "running",
                                                     [LIVE_WAITING] = "waiting"};

/* A model's figures, of all shards together. */
struct figures {
    uint64_t counts[LIVE_COUNTS];
    uint64_t first_token[BUCKETS];
    int64_t gauges[LIVE_GAUGES];
};

struct row {
    UT_hash_handle hh;
    int64_t model_id; /* key */
    struct figures now;
    struct figures told; /* in the last post */
};

struct live_send {
    struct loop *loop;
    struct http_pool *pool;
    struct feed *feed;
    struct http_target control;
    struct live **lives; /* owned array of borrowed ones */
    unsigned live_count;
    char *life;         /* owned: a name for this process */
    int64_t started_ms; /* loop time */
    struct row *rows;   /* uthash by model_id */
    bool must_tell_all; /* control doesn't know what was told so far */
    struct timer timer;
    struct http_call *call; /* under way, or NULL */
    struct buf body;        /* of that call, and its header: */
    char *authorization;    /* secret */
    unsigned status;
};

/* ---- gathering ---- */

static struct row *row_of(struct live_send *send, int64_t model_id)
{
    struct row *row = NULL;
    HASH_FIND(hh, send->rows, &model_id, sizeof model_id, row);
    if (row)
        return row;
    if (HASH_COUNT(send->rows) > LIVE_MODELS_MAX)
        return row_of(send, 0); /* shards may each have others */
    row = mem_alloc(sizeof *row);
    row->model_id = model_id;
    HASH_ADD(hh, send->rows, model_id, sizeof row->model_id, row);
    return row;
}

static void add_model(struct live_send *send, const struct live_model *model)
{
    struct figures *now = &row_of(send, model->model_id)->now;
    for (int i = 0; i < LIVE_COUNTS; i++)
        now->counts[i] += atomic_load_explicit(&model->counts[i], memory_order_relaxed);
    for (int i = 0; i < LIVE_GAUGES; i++)
        now->gauges[i] += atomic_load_explicit(&model->gauges[i], memory_order_relaxed);
    for (int i = 0; i < BUCKETS; i++)
        now->first_token[i] +=
            atomic_load_explicit(&model->first_token.counts[i], memory_order_relaxed);
}

static void gather(struct live_send *send)
{
    struct row *row, *next;
    HASH_ITER(hh, send->rows, row, next)
        row->now = (struct figures){0};
    for (unsigned i = 0; i < send->live_count; i++) {
        for (size_t slot = 0; slot < LIVE_SLOTS; slot++) {
            const struct live_model *model =
                atomic_load_explicit(&send->lives[i]->slots[slot], memory_order_acquire);
            if (model)
                add_model(send, model);
        }
        add_model(send, &send->lives[i]->other);
    }
}

/* ---- writing ---- */

static bool must_tell(const struct live_send *send, const struct row *row)
{
    static const struct figures nothing;
    const struct figures *known = send->must_tell_all ? &nothing : &row->told;
    return memcmp(&row->now, known, sizeof *known) != 0 || row->now.gauges[LIVE_RUNNING] ||
           row->now.gauges[LIVE_WAITING];
}

static void write_row(const struct row *row, struct json_writer *w)
{
    json_begin_object(w);
    json_put_int(w, "model_id", row->model_id);
    for (int i = 0; i < LIVE_COUNTS; i++)
        json_put_int(w, count_names[i], (int64_t)row->now.counts[i]);
    for (int i = 0; i < LIVE_GAUGES; i++)
        json_put_int(w, gauge_names[i], row->now.gauges[i]);
    json_add_key(w, "first_token");
    json_begin_array(w);
    for (size_t i = 0; i <= histogram_first_token.count; i++)
        json_add_int(w, (int64_t)row->now.first_token[i]);
    json_end_array(w);
    json_end_object(w);
}

static void write_body(struct live_send *send)
{
    buf_clear(&send->body);
    struct json_writer w = json_writer_into(&send->body);
    json_begin_object(&w);
    json_put_string(&w, "gateway", send->life);
    json_put_int(&w, "age_ms", loop_now_ms(send->loop) - send->started_ms);
    json_put_bool(&w, "is_complete", send->must_tell_all);
    json_add_key(&w, "models");
    json_begin_array(&w);
    struct row *row, *next;
    HASH_ITER(hh, send->rows, row, next) {
        if (must_tell(send, row))
            write_row(row, &w);
        row->told = row->now;
    }
    json_end_array(&w);
    json_end_object(&w);
}

/* ---- sending ---- */

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct live_send *send = ctx;
    send->status = head->status;
}

static void on_end(struct http_call *call, void *ctx)
{
    struct live_send *send = ctx;
    send->call = NULL;
    send->must_tell_all = send->status / 100 != 2;
    if (send->status == 404)
        timer_start(&send->timer, LIVE_SEND_OLDER_MS);
    else if (send->must_tell_all && send->status != 409)
        log_debug("live", "control doesn't take what requests do: HTTP %u", send->status);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct live_send *send = ctx;
    send->call = NULL;
    send->must_tell_all = true;
    log_debug("live", "control can't be told what requests do: %s", text);
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_end = on_end, .on_error = on_error};

static void post(struct live_send *send)
{
    char *token = NULL;
    if (feed_read_token(send->feed, &token, NULL) < 0)
        return;
    mem_free_secret(send->authorization);
    send->authorization = mem_printf("Bearer %s", token);
    mem_free_secret(token);
    gather(send);
    write_body(send);
    const struct http_header headers[] = {
        {STR("Authorization"), str_of(send->authorization)},
        {STR("Content-Type"), STR("application/json")},
    };
    const struct http_call_params params = {.target = &send->control,
                                            .method = HTTP_POST,
                                            .path = STR("/v2/gateway-samples"),
                                            .headers = headers,
                                            .header_count = ARRAY_LEN(headers),
                                            .body = http_body_of(buf_str(&send->body)),
                                            .head_timeout_ms = TIMEOUT_MS,
                                            .idle_timeout_ms = TIMEOUT_MS};
    send->call = http_call_start(send->pool, &params, &ops, send);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct live_send *send = ctx;
    timer_start(timer, LIVE_SEND_MS);
    if (!send->call)
        post(send);
}

/* ---- life ---- */

struct live_send *live_send_new(const struct live_send_params *params)
{
    struct live_send *send = mem_alloc(sizeof *send);
    *send = (struct live_send){.loop = params->loop,
                               .pool = params->pool,
                               .feed = params->feed,
                               .control = params->control,
                               .live_count = params->live_count,
                               .life = random_uuid(),
                               .started_ms = loop_now_ms(params->loop),
                               .must_tell_all = true};
    send->lives = mem_alloc_array(params->live_count, sizeof *send->lives);
    memcpy(send->lives, params->lives, params->live_count * sizeof *send->lives);
    (void)row_of(send, 0);
    timer_init(&send->timer, params->loop, on_timer, send);
    timer_start(&send->timer, LIVE_SEND_MS);
    return send;
}

void live_send_free(struct live_send *send)
{
    if (!send)
        return;
    timer_stop(&send->timer);
    http_call_cancel(send->call);
    struct row *row, *next;
    HASH_ITER(hh, send->rows, row, next) {
        HASH_DEL(send->rows, row);
        free(row);
    }
    buf_fini(&send->body);
    mem_free_secret(send->authorization);
    free(send->life);
    free(send->lives);
    free(send);
}
