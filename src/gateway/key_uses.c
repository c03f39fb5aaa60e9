/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/key_uses.h"

#include "base/log.h"

enum { TIMEOUT_MS = 5000 };

struct key_uses {
    struct loop *loop;
    struct http_pool *pool;
    struct feed *feed;
    struct http_target control;
    struct snapshot *snapshot; /* a reference, or NULL */
    struct timer timer;
    struct http_call *call; /* under way, or NULL */
    struct buf body;        /* of that call, and its header: */
    char *authorization;    /* secret */
    unsigned status;
    int64_t asked_ms; /* wall time: uses up to here are in that call */
    int64_t told_ms;  /* wall time: uses up to here are known to control */
};

static int64_t wall_ms(const struct key_uses *uses)
{
    return clock_wall_ms(loop_clock(uses->loop));
}

/* Writes the body; returns how many keys are in it. */
static unsigned write_uses(struct key_uses *uses, int64_t now_ms)
{
    unsigned count = 0;
    struct entry_span keys = snapshot_keys(uses->snapshot);
    buf_clear(&uses->body);
    struct json_writer w = json_writer_into(&uses->body);
    json_begin_object(&w);
    json_add_key(&w, "uses");
    json_begin_array(&w);
    for (size_t i = 0; i < keys.count && count < KEY_USES_ITEMS_MAX; i++) {
        int64_t used_ms =
            atomic_load_explicit(&keys.items[i]->key.used_ms, memory_order_relaxed);
        if (used_ms <= uses->told_ms)
            continue;
        json_begin_object(&w);
        json_put_int(&w, "key_id", keys.items[i]->id);
        json_put_int(&w, "age_ms", now_ms > used_ms ? now_ms - used_ms : 0);
        json_end_object(&w);
        count++;
    }
    json_end_array(&w);
    json_end_object(&w);
    return count;
}

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct key_uses *uses = ctx;
    uses->status = head->status;
}

static void on_end(struct http_call *call, void *ctx)
{
    struct key_uses *uses = ctx;
    uses->call = NULL;
    if (uses->status / 100 == 2)
        uses->told_ms = uses->asked_ms;
    else
        log_debug("key", "control doesn't take the uses of keys: HTTP %u", uses->status);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct key_uses *uses = ctx;
    uses->call = NULL;
    log_debug("key", "control can't be told the uses of keys: %s", text);
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_end = on_end, .on_error = on_error};

static void send(struct key_uses *uses)
{
    char *token = NULL;
    if (feed_read_token(uses->feed, &token, NULL) < 0)
        return;
    mem_free_secret(uses->authorization);
    uses->authorization = mem_printf("Bearer %s", token);
    mem_free_secret(token);
    const struct http_header headers[] = {
        {STR("Authorization"), str_of(uses->authorization)},
        {STR("Content-Type"), STR("application/json")},
    };
    const struct http_call_params params = {.target = &uses->control,
                                            .method = HTTP_POST,
                                            .path = STR("/v2/key-uses"),
                                            .headers = headers,
                                            .header_count = ARRAY_LEN(headers),
                                            .body = http_body_of(buf_str(&uses->body)),
                                            .head_timeout_ms = TIMEOUT_MS,
                                            .idle_timeout_ms = TIMEOUT_MS};
    uses->call = http_call_start(uses->pool, &params, &ops, uses);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct key_uses *uses = ctx;
    timer_start(timer, KEY_USES_MS);
    if (uses->call || !uses->snapshot)
        return;
    uses->asked_ms = wall_ms(uses);
    if (write_uses(uses, uses->asked_ms))
        send(uses);
}

struct key_uses *key_uses_new(struct loop *loop, struct http_pool *pool, struct feed *feed,
                              const struct http_target *control)
{
    struct key_uses *uses = mem_alloc(sizeof *uses);
    *uses = (struct key_uses){.loop = loop, .pool = pool, .feed = feed, .control = *control};
    timer_init(&uses->timer, loop, on_timer, uses);
    timer_start(&uses->timer, KEY_USES_MS);
    return uses;
}

void key_uses_free(struct key_uses *uses)
{
    if (!uses)
        return;
    timer_stop(&uses->timer);
    http_call_cancel(uses->call);
    snapshot_unref(uses->snapshot);
    buf_fini(&uses->body);
    mem_free_secret(uses->authorization);
    free(uses);
}

void key_uses_take(struct key_uses *uses, struct snapshot *snapshot)
{
    snapshot_unref(uses->snapshot);
    uses->snapshot = snapshot_ref(snapshot);
}
