/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forward.h"

#include "base/buf.h"

#include <assert.h>

struct forward {
    struct http_exchange *ex;
    struct http_call *call; /* NULL once it has ended */
    struct forward_params params;
    struct http_target target;
    char *path;
    char *forwarded_for;           /* X-Forwarded-For as it is sent, or NULL */
    struct http_header *add;       /* copies */
    struct http_header *reply_add; /* copies */
    struct http_header *headers;   /* of the request; borrow from `add` and the exchange */
    bool streams;                  /* the request's body is passed through */
    bool replied;                  /* the response's head was passed on */
    bool in_callback;              /* the owner is being called and may cancel */
    bool done;                     /* on_done() was called */
};

/* ---- headers ---- */

static struct http_header *copy_headers(const struct http_header *headers, unsigned count)
{
    struct http_header *copy = mem_alloc_array(count, sizeof(*copy));
    for (unsigned i = 0; i < count; i++) {
        copy[i].name = str_of(str_dup(headers[i].name));
        copy[i].value = str_sub(str_dup(headers[i].value), headers[i].value.len);
    }
    return copy;
}

static void free_headers(struct http_header *headers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        mem_free_secret((char *)(uintptr_t)headers[i].name.ptr);
        mem_free_secret((char *)(uintptr_t)headers[i].value.ptr);
    }
    free(headers);
}

static bool is_in(struct str name, const struct http_header *headers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (str_eq_nocase(name, headers[i].name))
            return true;
    return false;
}

static bool is_listed(struct str name, const char *const *names)
{
    for (; names && *names; names++)
        if (str_eq_nocase(name, str_of(*names)))
            return true;
    return false;
}

static bool is_option(struct str name, struct str options)
{
    struct str option;
    while (str_split(&options, ',', &option))
        if (str_eq_nocase(name, str_trim(option)))
            return true;
    return false;
}

/* Whether a header concerns this connection only, or is written anew by the next one's framing. */
static bool is_hop_by_hop(struct str name, const struct http_headers *headers)
{
    static const char *const names[] = {"Connection",     "Keep-Alive", "TE",
                                        "Trailer",        "Upgrade",    "Transfer-Encoding",
                                        "Content-Length", NULL};
    static const struct str proxy = {"Proxy-", 6};
    if (is_listed(name, names) ||
        (name.len > proxy.len && str_eq_nocase(str_sub(name.ptr, proxy.len), proxy)))
        return true;
    for (unsigned i = 0; i < headers->count; i++)
        if (str_eq_nocase(headers->items[i].name, STR("Connection")) &&
            is_option(name, headers->items[i].value))
            return true;
    return false;
}

/* ---- the request ---- */

/* The addresses that the request has come through, with the client's at the end. */
static char *forwarded_for(const struct http_exchange *ex)
{
    const struct http_headers *headers = &http_exchange_head(ex)->headers;
    const char *peer = http_exchange_peer(ex);
    struct buf out = {0};
    for (unsigned i = 0; i < headers->count; i++) {
        if (!str_eq_nocase(headers->items[i].name, STR("X-Forwarded-For")))
            continue;
        buf_add_cstr(&out, out.len ? ", " : "");
        buf_add_str(&out, headers->items[i].value);
    }
    if (strcmp(peer, "unix") != 0)
        buf_printf(&out, out.len ? ", %s" : "%s", peer);
    return out.len ? buf_take(&out) : NULL;
}

static bool passes_to_target(const struct forward *fwd, struct str name)
{
    static const char *const rewritten[] = {"Host", "Expect", "X-Forwarded-For", NULL};
    return !is_listed(name, rewritten) && !is_listed(name, fwd->params.drop) &&
           !is_in(name, fwd->add, fwd->params.add_count) &&
           !is_hop_by_hop(name, &http_exchange_head(fwd->ex)->headers);
}

/* Fills `fwd->headers`; returns how many. */
static unsigned build_request_headers(struct forward *fwd)
{
    const struct http_headers *from = &http_exchange_head(fwd->ex)->headers;
    unsigned n = 0;
    fwd->headers = mem_alloc_array(from->count + fwd->params.add_count + 1, sizeof(*fwd->headers));
    for (unsigned i = 0; i < from->count; i++)
        if (passes_to_target(fwd, from->items[i].name))
            fwd->headers[n++] = from->items[i];
    for (unsigned i = 0; i < fwd->params.add_count; i++)
        fwd->headers[n++] = fwd->add[i];
    if (fwd->forwarded_for)
        fwd->headers[n++] =
            (struct http_header){STR("X-Forwarded-For"), str_of(fwd->forwarded_for)};
    return n;
}

/* ---- the end ---- */

static void release(struct forward *fwd)
{
    free_headers(fwd->add, fwd->params.add_count);
    free_headers(fwd->reply_add, fwd->params.reply_add_count);
    free(fwd->headers);
    free(fwd->forwarded_for);
    free(fwd->path);
    free(fwd);
}

static void finish(struct forward *fwd, enum forward_outcome outcome, int code, const char *text)
{
    http_call_cancel(TAKE(fwd->call));
    fwd->done = true;
    fwd->params.on_done(fwd, outcome, code, text, fwd->params.ctx);
    if (!fwd->in_callback)
        release(fwd);
}

/* Upstream is at its end too early: the exchange goes back to the owner. */
static void finish_early(struct forward *fwd, int code, const char *text)
{
    static const struct http_exchange_ops none;
    http_exchange_set_ops(fwd->ex, &none, NULL);
    http_exchange_resume(fwd->ex);
    finish(fwd, fwd->replied ? FORWARD_CUT : FORWARD_FAILED, code, text);
}

/* After a callback of the owner: false when it has cancelled; `fwd` is then gone. */
static bool goes_on(struct forward *fwd)
{
    fwd->in_callback = false;
    if (!fwd->done)
        return true;
    release(fwd);
    return false;
}

/* ---- from the client ---- */

static void on_request_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct forward *fwd = ctx;
    if (fwd->call && fwd->streams && http_call_write(fwd->call, data) > HTTP_HIGH_WATER)
        http_exchange_pause(ex);
}

static void on_request_end(struct http_exchange *ex, void *ctx)
{
    struct forward *fwd = ctx;
    if (fwd->call && fwd->streams)
        http_call_finish(fwd->call);
}

static void on_response_drain(struct http_exchange *ex, void *ctx)
{
    struct forward *fwd = ctx;
    if (fwd->call)
        http_call_resume(fwd->call);
}

static void on_client_close(struct http_exchange *ex, bool gone, void *ctx)
{
    struct forward *fwd = ctx;
    if (gone)
        finish(fwd, FORWARD_CLIENT_GONE, ERR_CLOSED, "the client has closed the connection");
    else
        finish(fwd, FORWARD_DONE, 0, "");
}

static const struct http_exchange_ops exchange_ops = {
    .on_body = on_request_body,
    .on_end = on_request_end,
    .on_drain = on_response_drain,
    .on_close = on_client_close,
};

/* ---- from the target ---- */

/* The length to announce, or -1 where it shows with the last byte only. */
static int64_t response_length(const struct http_response_head *head)
{
    bool is_known =
        head->body == HTTP_BODY_LENGTH ||
        (head->body == HTTP_BODY_NONE && http_headers_get(&head->headers, "Content-Length").ptr);
    return is_known ? (int64_t)head->content_length : -1;
}

static void start_reply(struct forward *fwd, const struct http_response_head *head)
{
    unsigned add_count = fwd->params.reply_add_count;
    auto_free struct http_header *headers =
        mem_alloc_array(head->headers.count + add_count, sizeof(*headers));
    unsigned n = 0;
    for (unsigned i = 0; i < head->headers.count; i++) {
        struct str name = head->headers.items[i].name;
        if (!is_hop_by_hop(name, &head->headers) && !is_in(name, fwd->reply_add, add_count))
            headers[n++] = head->headers.items[i];
    }
    for (unsigned i = 0; i < add_count; i++)
        headers[n++] = fwd->reply_add[i];
    fwd->replied = true;
    http_reply_start(fwd->ex, head->status, headers, n, response_length(head));
}

static void on_response_head(struct http_call *call, const struct http_response_head *head,
                             void *ctx)
{
    struct forward *fwd = ctx;
    fwd->in_callback = true;
    if (fwd->params.on_head)
        fwd->params.on_head(fwd, head, fwd->params.ctx);
    if (goes_on(fwd))
        start_reply(fwd, head);
}

static void on_response_body(struct http_call *call, struct str data, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->in_callback = true;
    if (fwd->params.on_body)
        fwd->params.on_body(fwd, data, fwd->params.ctx);
    if (goes_on(fwd) && http_reply_write(fwd->ex, data) > HTTP_HIGH_WATER)
        http_call_pause(call);
}

static void on_request_drain(struct http_call *call, void *ctx)
{
    struct forward *fwd = ctx;
    http_exchange_resume(fwd->ex);
}

static void on_response_end(struct http_call *call, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->call = NULL;
    http_reply_end(fwd->ex);
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->call = NULL;
    finish_early(fwd, code, text);
}

static const struct http_call_ops call_ops = {
    .on_head = on_response_head,
    .on_body = on_response_body,
    .on_drain = on_request_drain,
    .on_end = on_response_end,
    .on_error = on_error,
};

/* ---- the forward ---- */

static bool has_body_to_stream(const struct forward *fwd)
{
    const struct http_request_head *head = http_exchange_head(fwd->ex);
    if (fwd->params.body.ptr)
        return false;
    return head->body == HTTP_BODY_CHUNKED || head->content_length > 0;
}

static void start_call(struct forward *fwd)
{
    const struct http_request_head *head = http_exchange_head(fwd->ex);
    unsigned header_count = build_request_headers(fwd);
    const struct http_call_params params = {
        .target = &fwd->target,
        .method = head->method,
        .path = str_of(fwd->path),
        .headers = fwd->headers,
        .header_count = header_count,
        .body = fwd->params.body,
        .stream_body = fwd->streams,
        .stream_length = head->body == HTTP_BODY_CHUNKED ? -1 : (int64_t)head->content_length,
        .head_timeout_ms = fwd->params.head_timeout_ms,
        .idle_timeout_ms = fwd->params.idle_timeout_ms,
    };
    fwd->call = http_call_start(fwd->params.pool, &params, &call_ops, fwd);
}

struct forward *forward_start(struct http_exchange *ex, const struct forward_params *params)
{
    assert(!http_reply_started(ex));
    struct forward *fwd = mem_alloc(sizeof(*fwd));
    fwd->ex = ex;
    fwd->params = *params;
    fwd->target = *params->target;
    fwd->path = str_dup(params->path);
    fwd->add = copy_headers(params->add, params->add_count);
    fwd->reply_add = copy_headers(params->reply_add, params->reply_add_count);
    fwd->forwarded_for = forwarded_for(ex);
    fwd->streams = has_body_to_stream(fwd);
    http_exchange_set_ops(ex, &exchange_ops, fwd);
    start_call(fwd);
    return fwd;
}

void forward_cancel(struct forward *fwd, int code, const char *text)
{
    if (!fwd->done)
        finish_early(fwd, code, text);
}

struct http_exchange *forward_exchange(const struct forward *fwd)
{
    return fwd->ex;
}
