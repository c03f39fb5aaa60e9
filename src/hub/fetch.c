/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/fetch.h"

#include "http/client.h"
#include "hub/content_range.h"
#include "hub/url.h"
#include "io/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { HEADERS_MAX = 3, RANGE_TEXT = 64 };

/* One request on its way; after a 200 to a range it may be kept, paused, for the next one. */
struct exchange {
    struct http_call *call; /* NULL once it has ended */
    struct url url;         /* where it went; owned */
    char *asked;            /* owned; URL of the request that it answers, before redirects */
    bool is_whole;          /* no range is wanted */
    uint64_t offset;        /* first byte that is wanted */
    uint64_t end;           /* behind the last; of a whole file: the most that is taken */
    uint64_t position;      /* in the file, of the next byte of the body */
    uint64_t total;
    struct buf *out;        /* borrowed */
    const struct fetch_stream_params *stream; /* borrowed; NULL: it goes into `out` */
    unsigned status;
    char *location;         /* owned; of a redirect */
    char *next;             /* owned */
    bool is_done;
    int rc;
    struct err err;
};

struct fetcher {
    struct loop *loop;
    struct http_pool *pool;
    struct timer deadline; /* of a stream: of the next look whether it is to end */
    int64_t timeout_ms; /* for all requests together; 0: none */
    int64_t end_ms;     /* loop time at which that is over */
    struct exchange exchange;
    struct url home; /* owned; of which no other server may be asked without TLS */
    bool is_confined;
};

/* ---- the exchange ---- */

static void exchange_clear(struct fetcher *fetcher)
{
    struct exchange *exchange = &fetcher->exchange;
    http_call_cancel(exchange->call);
    url_fini(&exchange->url);
    free(exchange->asked);
    free(exchange->location);
    free(exchange->next);
    *exchange = (struct exchange){0};
}

static struct fetcher *owner_of(struct exchange *exchange)
{
    return CONTAINER_OF(exchange, struct fetcher, exchange);
}

static void finish(struct exchange *exchange, int rc)
{
    exchange->is_done = true;
    exchange->rc = rc;
    loop_stop(owner_of(exchange)->loop);
}

/* The rest of the answer isn't wanted. */
static void finish_early(struct exchange *exchange, int rc)
{
    http_call_cancel(TAKE(exchange->call));
    finish(exchange, rc);
}

static void fail(struct exchange *exchange, int code, const char *what)
{
    auto_free char *url = url_public_text(&exchange->url);
    finish_early(exchange, err_set(&exchange->err, code, "%s %s", url, what));
}

/* ---- heads ---- */

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void fail_status(struct exchange *exchange, unsigned status)
{
    struct err what;
    switch (status) {
    case 401:
        fail(exchange, ERR_UNAUTHORIZED, "wants a token (HF_TOKEN, MODELSCOPE_API_TOKEN)");
        return;
    case 403:
        fail(exchange, ERR_FORBIDDEN, "is not allowed with this token, or none");
        return;
    case 404:
    case 410:
        fail(exchange, ERR_NOT_FOUND, "doesn't exist");
        return;
    case 429:
        fail(exchange, ERR_TOO_OFTEN, "was asked for too often; try again later");
        return;
    default:
        err_set(&what, ERR_UNAVAILABLE, "answers with status %u", status);
        fail(exchange, ERR_UNAVAILABLE, what.text);
    }
}

/* The URL of rel="next" of a header Link: '<URL>; rel="next"'. */
static char *next_of(struct str link)
{
    const size_t end = str_find(link, '>');
    if (!str_has_prefix(link, STR("<")) || end == link.len ||
        !memmem(link.ptr + end, link.len - end, "rel=\"next\"", strlen("rel=\"next\"")))
        return NULL;
    return str_dup(str_sub(link.ptr + 1, end - 1));
}

/* A part: it must be the one that was asked for. A server that gives less of it, as the protocol
 * allows, could make any number of requests out of one. */
static bool is_wanted(const struct exchange *exchange, const struct content_range *range)
{
    const uint64_t end = exchange->end < range->total ? exchange->end : range->total;
    return range->first == exchange->offset && range->last + 1 == end;
}

static void take_partial(struct exchange *exchange, const struct http_response_head *head)
{
    struct content_range range;
    if (exchange->is_whole) {
        fail(exchange, ERR_PROTOCOL, "sent a part of what was asked for");
        return;
    }
    const struct str told = http_headers_get(&head->headers, "content-range");
    if (exchange->stream && content_range_parse(told, &range) && range.total != exchange->end) {
        fail(exchange, ERR_CONFLICT, "has another size than its hub says");
        return;
    }
    if (!content_range_parse(told, &range) ||
        !is_wanted(exchange, &range) ||
        (head->body == HTTP_BODY_LENGTH &&
         head->content_length != range.last - range.first + 1)) {
        fail(exchange, ERR_PROTOCOL, "sent another part of the file than was asked for");
        return;
    }
    exchange->total = range.total;
    exchange->position = range.first;
    exchange->end = range.last + 1;
}

/* All of it, from the beginning on. */
static void take_full(struct exchange *exchange, const struct http_response_head *head)
{
    exchange->position = 0;
    exchange->total = head->content_length;
    if (exchange->stream && head->body == HTTP_BODY_LENGTH && exchange->total != exchange->end) {
        fail(exchange, ERR_CONFLICT, "has another size than its hub says");
        return;
    }
    if (exchange->is_whole && head->body == HTTP_BODY_LENGTH &&
        head->content_length > exchange->end)
        fail(exchange, ERR_TOO_LARGE, "is larger than is read of such a file");
    else if (!exchange->is_whole && head->body != HTTP_BODY_LENGTH)
        fail(exchange, ERR_PROTOCOL, "knows no ranges and doesn't say how large the file is");
    else if (!exchange->is_whole && exchange->offset >= exchange->total)
        fail(exchange, ERR_PROTOCOL, "is shorter than it was before");
}

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    (void)call;
    struct exchange *exchange = ctx;
    const struct str coding = http_headers_get(&head->headers, "content-encoding");
    exchange->status = head->status;
    if (is_redirect(head->status)) {
        exchange->location = str_dup(http_headers_get(&head->headers, "location"));
        finish_early(exchange, 0);
        return;
    }
    if (head->status != 200 && head->status != 206) {
        fail_status(exchange, head->status);
        return;
    }
    if (coding.len && !str_eq_nocase(coding, STR("identity"))) {
        fail(exchange, ERR_PROTOCOL, "sent the file in a coding that wasn't asked for");
        return;
    }
    exchange->next = next_of(http_headers_get(&head->headers, "link"));
    if (head->status == 206)
        take_partial(exchange, head);
    else
        take_full(exchange, head);
    if (!exchange->is_done && exchange->total > FETCH_FILE_MAX)
        fail(exchange, ERR_TOO_LARGE, "claims to have more than 2^56 bytes");
}

/* ---- bodies ---- */

static void give_to_sink(struct exchange *exchange, struct str piece)
{
    int rc = piece.len ? exchange->stream->sink(piece, exchange->stream->ctx) : 0;
    if (rc < 0)
        finish_early(exchange, err_set(&exchange->err, rc, "it isn't wanted any more"));
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct exchange *exchange = ctx;
    uint64_t unwanted =
        exchange->position < exchange->offset ? exchange->offset - exchange->position : 0;
    if (unwanted > data.len)
        unwanted = data.len;
    exchange->position += data.len;
    if (exchange->position > exchange->end && (exchange->is_whole || exchange->status == 206)) {
        fail(exchange, exchange->is_whole ? ERR_TOO_LARGE : ERR_PROTOCOL,
             exchange->is_whole ? "is larger than is read of such a file"
                                : "sent more than was asked for");
        return;
    }
    if (exchange->stream) {
        give_to_sink(exchange, str_skip(data, (size_t)unwanted));
        return;
    }
    buf_add_str(exchange->out, str_skip(data, (size_t)unwanted));
    if (exchange->is_whole || exchange->status == 206 || exchange->position < exchange->end)
        return;
    http_call_pause(call); /* the rest may be wanted next */
    finish(exchange, 0);
}

static void on_end(struct http_call *call, void *ctx)
{
    (void)call;
    struct exchange *exchange = ctx;
    exchange->call = NULL;
    if (exchange->is_done)
        return;
    const bool has_end = exchange->status == 206 || exchange->stream;
    if (has_end && exchange->position != exchange->end)
        fail(exchange, ERR_PROTOCOL, "sent less than it announced");
    else
        finish(exchange, 0);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    (void)call;
    struct exchange *exchange = ctx;
    exchange->call = NULL;
    if (!exchange->is_done)
        finish(exchange, err_set(&exchange->err, code, "%s", text));
}

static const struct http_call_ops ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

/* Whether the limit of all requests comes before that of one. */
static bool is_limited(const struct fetcher *fetcher)
{
    return fetcher->timeout_ms &&
           fetcher->end_ms - loop_now_ms(fetcher->loop) < FETCH_TOTAL_MS;
}

static void look_at_stop(struct fetcher *fetcher)
{
    struct exchange *exchange = &fetcher->exchange;
    if (exchange->is_done)
        return;
    if (exchange->stream->stop && atomic_load(exchange->stream->stop))
        finish_early(exchange, err_set(&exchange->err, -ECANCELED, "stopped"));
    else
        timer_start(&fetcher->deadline, FETCH_STOP_MS);
}

static void on_deadline(struct timer *timer, void *ctx)
{
    (void)timer;
    struct fetcher *fetcher = ctx;
    struct err what;
    if (fetcher->exchange.stream) {
        look_at_stop(fetcher);
        return;
    }
    const int64_t limit_ms = is_limited(fetcher) ? fetcher->timeout_ms : FETCH_TOTAL_MS;
    err_set(&what, ERR_TIMEOUT, "didn't finish within %lld s", (long long)limit_ms / 1000);
    if (!fetcher->exchange.is_done)
        fail(&fetcher->exchange, ERR_TIMEOUT, what.text);
}

static int64_t time_left_ms(const struct fetcher *fetcher)
{
    const int64_t left_ms = is_limited(fetcher) ? fetcher->end_ms - loop_now_ms(fetcher->loop)
                                                : FETCH_TOTAL_MS;
    return left_ms > 0 ? left_ms : 0;
}

static int wait_for(struct fetcher *fetcher, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    timer_start(&fetcher->deadline, exchange->stream ? FETCH_STOP_MS : time_left_ms(fetcher));
    while (!exchange->is_done)
        loop_run(fetcher->loop);
    timer_stop(&fetcher->deadline);
    return exchange->rc < 0 ? err_set(err, exchange->rc, "%s", exchange->err.text) : 0;
}

/* ---- requests ---- */

static int check_redirect(const struct url *from, const struct url *to, struct err *err)
{
    if (!from->target.tls || to->target.tls)
        return 0;
    auto_free char *text = url_public_text(from);
    return err_set(err, ERR_PROTOCOL, "%s redirects from https to http, which isn't followed",
                   text);
}

/* Whether the exchange's URL may be asked for at all. */
static int check_home(const struct fetcher *fetcher, struct err *err)
{
    const struct url *url = &fetcher->exchange.url;
    if (!fetcher->is_confined || url->target.tls || url_is_same_origin(&fetcher->home, url))
        return 0;
    auto_free char *text = url_public_text(url);
    return err_set(err, ERR_FORBIDDEN, "%s isn't asked for: it is neither on %s:%u nor https", text,
                   fetcher->home.target.host, fetcher->home.target.port);
}

/* The value of a header. Tokens come from files, often with a line's end. Returns owned. */
static char *credential_of(const char *bearer)
{
    return bearer ? mem_printf("Bearer %.*s", STR_ARGS(str_trim(str_of(bearer)))) : NULL;
}

/* Sends the exchange's request to its URL and waits for what it wants. */
static int ask(struct fetcher *fetcher, const char *bearer, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    char range[RANGE_TEXT];
    auto_free char *credential = credential_of(bearer);
    struct http_header headers[HEADERS_MAX] = {{STR("Accept-Encoding"), STR("identity")}};
    unsigned count = 1;
    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)exchange->offset,
             (unsigned long long)exchange->end - 1);
    if (!exchange->is_whole)
        headers[count++] = (struct http_header){STR("Range"), str_of(range)};
    if (bearer)
        headers[count++] = (struct http_header){STR("Authorization"), str_of(credential)};
    const struct http_call_params params = {
        .target = &exchange->url.target,
        .method = HTTP_GET,
        .path = str_of(exchange->url.path),
        .headers = headers,
        .header_count = count,
        .head_timeout_ms = FETCH_SILENCE_MS,
        .idle_timeout_ms = FETCH_SILENCE_MS,
    };
    exchange->call = http_call_start(fetcher->pool, &params, &ops, exchange);
    const int rc = wait_for(fetcher, err);
    if (credential)
        explicit_bzero(credential, strlen(credential));
    return rc;
}

/* Turns a redirect's exchange into that of its target. */
static int follow(struct fetcher *fetcher, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    struct url target = {0};
    int rc = url_resolve(&exchange->url, str_of(exchange->location), &target, err);
    if (rc == 0)
        rc = check_redirect(&exchange->url, &target, err);
    if (rc < 0) {
        url_fini(&target);
        return rc;
    }
    url_fini(&exchange->url);
    exchange->url = target;
    free(TAKE(exchange->location));
    exchange->is_done = false;
    return 0;
}

static int ask_and_follow(struct fetcher *fetcher, const struct url *origin, const char *bearer,
                          struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    for (int i = 0; i <= FETCH_REDIRECTS_MAX; i++) {
        const bool is_trusted = url_is_same_origin(origin, &exchange->url);
        int rc = check_home(fetcher, err);
        if (rc == 0)
            rc = ask(fetcher, is_trusted ? bearer : NULL, err);
        if (rc < 0 || !exchange->location)
            return rc;
        rc = follow(fetcher, err);
        if (rc < 0)
            return rc;
    }
    auto_free char *text = url_public_text(origin);
    return err_set(err, ERR_PROTOCOL, "%s redirects more than %d times", text,
                   FETCH_REDIRECTS_MAX);
}

/* The exchange is empty but for what is wanted. */
static int begin(struct fetcher *fetcher, const struct fetch_request *request, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    struct url origin = {0};
    int rc = url_parse(request->url, &exchange->url, err);
    if (rc == 0)
        rc = url_parse(request->origin ? request->origin : request->url, &origin, err);
    exchange->asked = mem_strdup(request->url);
    if (rc == 0)
        rc = ask_and_follow(fetcher, &origin, request->bearer, err);
    url_fini(&origin);
    return rc;
}

/* Whether the body that is open goes on to what is wanted now. */
static bool can_read_on(const struct exchange *exchange, const struct fetch_request *request,
                        uint64_t offset)
{
    return exchange->call && exchange->asked && exchange->position <= offset &&
           strcmp(exchange->asked, request->url) == 0;
}

static int read_on(struct fetcher *fetcher, struct err *err)
{
    fetcher->exchange.is_done = false;
    http_call_resume(fetcher->exchange.call);
    return wait_for(fetcher, err);
}

/* What is wanted of a file. */
struct wanted {
    bool is_whole;
    uint64_t offset, end; /* as in struct exchange */
    struct buf *out;
};

static int fetch_once(struct fetcher *fetcher, const struct fetch_request *request,
                      const struct wanted *wanted, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    const bool reads_on = !wanted->is_whole && can_read_on(exchange, request, wanted->offset);
    if (!reads_on)
        exchange_clear(fetcher);
    exchange->is_whole = wanted->is_whole;
    exchange->offset = wanted->offset;
    exchange->end = wanted->end;
    exchange->out = wanted->out;
    return reads_on ? read_on(fetcher, err) : begin(fetcher, request, err);
}

/* Whether the same may go well a moment later: the server, or one between, had a bad moment. */
static bool may_pass(const struct exchange *exchange, int rc)
{
    return rc == ERR_CLOSED || rc == -ECONNRESET || rc == -EPIPE ||
           (rc == ERR_UNAVAILABLE && exchange->status >= 500);
}

static void take_reply(struct fetcher *fetcher, struct fetch_reply *ret)
{
    struct exchange *exchange = &fetcher->exchange;
    ret->total = exchange->total;
    ret->url = url_text(&exchange->url);
    ret->next = TAKE(exchange->next);
    exchange->out = NULL;
    if (!exchange->call)
        exchange_clear(fetcher);
}

static int fetch(struct fetcher *fetcher, const struct fetch_request *request,
                 const struct wanted *wanted, struct fetch_reply *ret, struct err *err)
{
    const size_t before = wanted->out->len;
    int rc = fetch_once(fetcher, request, wanted, err);
    if (may_pass(&fetcher->exchange, rc)) {
        exchange_clear(fetcher);
        buf_cut(wanted->out, before);
        rc = fetch_once(fetcher, request, wanted, err);
    }
    if (rc < 0)
        exchange_clear(fetcher);
    else
        take_reply(fetcher, ret);
    return rc;
}

int fetch_range(struct fetcher *fetcher, const struct fetch_request *request, uint64_t offset,
                size_t n, struct buf *out, struct fetch_reply *ret, struct err *err)
{
    assert(n > 0);
    const struct wanted wanted = {.offset = offset, .end = offset + n, .out = out};
    return fetch(fetcher, request, &wanted, ret, err);
}

int fetch_all(struct fetcher *fetcher, const struct fetch_request *request, size_t max,
              struct buf *out, struct fetch_reply *ret, struct err *err)
{
    const struct wanted wanted = {.is_whole = true, .end = max, .out = out};
    return fetch(fetcher, request, &wanted, ret, err);
}

int fetch_stream(struct fetcher *fetcher, const struct fetch_request *request,
                 const struct fetch_stream_params *params, struct err *err)
{
    struct exchange *exchange = &fetcher->exchange;
    assert(params->offset < params->total);
    exchange_clear(fetcher);
    exchange->offset = params->offset;
    exchange->end = params->total;
    exchange->stream = params;
    const int rc = begin(fetcher, request, err);
    exchange_clear(fetcher);
    return rc;
}

/* ---- the fetcher ---- */

int fetcher_new(const char *ca_file, struct fetcher **ret, struct err *err)
{
    struct fetcher *fetcher = mem_alloc(sizeof *fetcher);
    fetcher->loop = loop_new(&clock_system);
    fetcher->pool = http_pool_new(fetcher->loop);
    timer_init(&fetcher->deadline, fetcher->loop, on_deadline, fetcher);
    const int rc = ca_file ? stream_trust_file(fetcher->loop, ca_file, err) : 0;
    if (rc < 0)
        fetcher_free(fetcher);
    else
        *ret = fetcher;
    return rc;
}

void fetcher_limit(struct fetcher *fetcher, int64_t timeout_ms)
{
    fetcher->timeout_ms = timeout_ms;
    fetcher->end_ms = loop_now_ms(fetcher->loop) + timeout_ms;
}

int fetcher_confine(struct fetcher *fetcher, const char *url, struct err *err)
{
    assert(!fetcher->is_confined);
    const int rc = url_parse(url, &fetcher->home, err);
    fetcher->is_confined = rc == 0;
    return rc;
}

void fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return;
    exchange_clear(fetcher);
    url_fini(&fetcher->home);
    http_pool_free(fetcher->pool);
    loop_free(fetcher->loop);
    free(fetcher);
}

void fetch_reply_fini(struct fetch_reply *reply)
{
    free(reply->url);
    free(reply->next);
    *reply = (struct fetch_reply){0};
}
