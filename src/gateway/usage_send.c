/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/usage_send.h"

#include "base/log.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdatomic.h>

enum { TIMEOUT_MS = 10000 };

/* Does one thing at a time: fetches a batch, sends it, or waits for the next try. */
struct usage_send {
    struct usage_send_params params;
    struct timer retry; /* armed: waits */
    bool is_fetching;
    struct journal_batch *batch; /* being sent, or NULL; with */
    struct http_call *call;
    char *authorization; /* secret */
    unsigned status;     /* of the answer; 0: none came */
    struct buf answer;

    bool has_news;       /* there may be records that the last fetch didn't see */
    uint64_t applied;    /* control has all up to here */
    unsigned max;        /* records in the next batch */
    int64_t delay_ms;    /* before the next try after a failure */
    bool has_complained; /* the present trouble was logged */
    atomic_int_fast64_t oldest_ms;

    struct timer drain; /* armed while draining */
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

static void set_oldest(struct usage_send *send, int64_t started_ms)
{
    atomic_store_explicit(&send->oldest_ms, started_ms, memory_order_relaxed);
}

static void fetch(struct usage_send *send)
{
    send->is_fetching = true;
    send->has_news = false;
    journal_fetch(send->params.journal, send->applied, send->max);
}

static bool is_idle(const struct usage_send *send)
{
    return !send->is_fetching && !send->batch && !timer_is_armed(&send->retry);
}

/* ---- failures ---- */

/* In a drain there is no next try: it ends at once. */
static void wait_for_retry(struct usage_send *send, int64_t delay_ms)
{
    journal_batch_free(TAKE(send->batch));
    if (timer_is_armed(&send->drain))
        timer_start(&send->drain, 0);
    else
        timer_start(&send->retry, delay_ms);
}

static void retry_later(struct usage_send *send)
{
    wait_for_retry(send, send->delay_ms);
    send->delay_ms *= 2;
    if (send->delay_ms > USAGE_SEND_RETRY_MAX_MS)
        send->delay_ms = USAGE_SEND_RETRY_MAX_MS;
}

static void complain(struct usage_send *send, const char *text)
{
    if (!send->has_complained)
        log_warning("usage", "records can't be sent to control: %s; they are kept", text);
    send->has_complained = true;
}

static void complain_status(struct usage_send *send)
{
    auto_free char *text = mem_printf("it answers with HTTP %u", send->status);
    complain(send, text);
}

static void on_retry(struct timer *timer, void *ctx)
{
    fetch(ctx);
}

/* ---- a refused batch ---- */

/* The number behind the first "records[" in control's words, or -1. */
static int64_t named_index(const char *words)
{
    static const char mark[] = "records[";
    const char *at = strstr(words, mark);
    int64_t index;
    if (!at)
        return -1;
    struct str digits = str_of(at + sizeof mark - 1);
    digits.len = str_find(digits, ']');
    return num_parse_i64(digits, 0, JOURNAL_BATCH_MAX, &index) == 0 ? index : -1;
}

/* Records to send next, so that the bad one is soon alone. */
static unsigned smaller(unsigned count, int64_t bad)
{
    if (bad < 0 || bad >= count)
        return count / 2;
    return bad == 0 ? 1 : (unsigned)bad;
}

static void on_refused(struct usage_send *send, const json_t *answer)
{
    const char *message = json_member_string(answer, "message");
    auto_free char *words = mem_strdup(message ? message : "it doesn't say why");
    if (send->batch->count > 1) {
        send->max = smaller(send->batch->count, named_index(words));
        journal_batch_free(TAKE(send->batch));
        fetch(send);
        return;
    }
    send->applied = send->batch->last;
    journal_reject(send->params.journal, TAKE(send->batch), words);
    retry_later(send); /* should control refuse everything, little is put aside until it is seen */
}

/* ---- answers ---- */

static void on_taken(struct usage_send *send, const json_t *answer)
{
    int64_t applied = json_member_int(answer, "applied", -1);
    if (applied < 0 || (uint64_t)applied <= send->applied) {
        complain(send, "it takes none of them");
        retry_later(send);
        return;
    }
    if (send->has_complained)
        log_info("usage", "control takes records again");
    send->has_complained = false;
    send->delay_ms = USAGE_SEND_RETRY_MIN_MS;
    send->max = 2 * send->max < JOURNAL_BATCH_MAX ? 2 * send->max : JOURNAL_BATCH_MAX;
    send->applied = (uint64_t)applied;
    journal_applied(send->params.journal, send->applied);
    if (send->params.on_applied)
        send->params.on_applied(send->applied, send->params.ctx);
    journal_batch_free(TAKE(send->batch));
    fetch(send);
}

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    struct usage_send *send = ctx;
    send->status = head->status;
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct usage_send *send = ctx;
    size_t room = USAGE_SEND_ANSWER_MAX - send->answer.len;
    buf_add(&send->answer, data.ptr, data.len < room ? data.len : room);
}

static void on_end(struct http_call *call, void *ctx)
{
    struct usage_send *send = ctx;
    auto_fini(json_release) json_t *answer = NULL;
    send->call = NULL;
    if (json_read(buf_str(&send->answer), &answer, NULL) < 0)
        answer = NULL;
    switch (send->status) {
    case 200:
        on_taken(send, answer);
        break;
    case 400:
    case 413:
        on_refused(send, answer);
        break;
    case 404:
    case 405:
        complain(send, "it is older than this gateway and has no such path");
        wait_for_retry(send, USAGE_SEND_OLDER_MS);
        break;
    default:
        complain_status(send);
        retry_later(send);
    }
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct usage_send *send = ctx;
    send->call = NULL;
    complain(send, text);
    retry_later(send);
}

/* ---- sending ---- */

static const struct http_call_ops call_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void post(struct usage_send *send)
{
    const struct http_header headers[] = {
        {STR("Authorization"), str_of(send->authorization)},
        {STR("Content-Type"), STR("application/json")},
    };
    const struct http_call_params params = {.target = &send->params.control,
                                            .method = HTTP_POST,
                                            .path = STR("/v2/usage-records"),
                                            .headers = headers,
                                            .header_count = ARRAY_LEN(headers),
                                            .body = buf_str(&send->batch->body),
                                            .head_timeout_ms = TIMEOUT_MS,
                                            .idle_timeout_ms = TIMEOUT_MS};
    send->status = 0;
    buf_clear(&send->answer);
    send->call = http_call_start(send->params.pool, &params, &call_ops, send);
}

static void send_batch(struct usage_send *send)
{
    char *token = NULL;
    struct err err = {0};
    if (feed_read_token(send->params.feed, &token, &err) < 0) {
        complain(send, err.text);
        retry_later(send);
        return;
    }
    mem_free_secret(send->authorization);
    send->authorization = mem_printf("Bearer %s", token);
    mem_free_secret(token);
    post(send);
}

/* ---- the journal's news ---- */

static void on_durable(void *ctx)
{
    struct usage_send *send = ctx;
    send->has_news = true;
    if (is_idle(send))
        fetch(send);
}

static void on_batch(struct journal_batch *batch, void *ctx)
{
    struct usage_send *send = ctx;
    send->is_fetching = false;
    send->batch = batch;
    if (batch->count) {
        set_oldest(send, batch->started_ms);
        send_batch(send);
        return;
    }
    if (batch->error) {
        retry_later(send);
        return;
    }
    set_oldest(send, 0);
    journal_batch_free(TAKE(send->batch));
    if (send->has_news)
        fetch(send);
    else if (timer_is_armed(&send->drain))
        timer_start(&send->drain, 0);
}

static const struct journal_reader_ops reader_ops = {.on_durable = on_durable,
                                                     .on_batch = on_batch};

/* ---- life ---- */

static void end_drain(struct timer *timer, void *ctx)
{
    struct usage_send *send = ctx;
    send->on_drained(send->drained_ctx);
}

struct usage_send *usage_send_new(const struct usage_send_params *params)
{
    struct usage_send *send = mem_alloc(sizeof *send);
    send->params = *params;
    send->applied = journal_applied_at_start(params->journal);
    send->max = JOURNAL_BATCH_MAX;
    send->delay_ms = USAGE_SEND_RETRY_MIN_MS;
    timer_init(&send->retry, params->loop, on_retry, send);
    timer_init(&send->drain, params->loop, end_drain, send);
    journal_set_reader(params->journal, &reader_ops, send);
    fetch(send);
    return send;
}

void usage_send_free(struct usage_send *send)
{
    if (!send)
        return;
    journal_set_reader(send->params.journal, NULL, NULL);
    timer_stop(&send->retry);
    timer_stop(&send->drain);
    http_call_cancel(send->call);
    journal_batch_free(send->batch);
    mem_free_secret(send->authorization);
    buf_fini(&send->answer);
    free(send);
}

void usage_send_drain(struct usage_send *send, int64_t max_ms, void (*on_done)(void *ctx),
                      void *ctx)
{
    send->on_drained = on_done;
    send->drained_ctx = ctx;
    send->has_news = true;
    timer_start(&send->drain, max_ms);
    timer_stop(&send->retry);
    journal_flush(send->params.journal);
    if (is_idle(send))
        fetch(send);
}

int64_t usage_send_oldest_ms(const struct usage_send *send)
{
    return atomic_load_explicit(&send->oldest_ms, memory_order_relaxed);
}
