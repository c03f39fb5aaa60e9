/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forward.h"

#include <assert.h>

enum forward_mode {
    MODE_PASS,
    MODE_REWRITE, /* the owner sends the body */
    MODE_TAKE,    /* the owner gets it all */
};

struct forward {
    struct http_exchange *ex;
    struct http_call *call; /* NULL once it has ended */
    struct forward_params params;
    struct http_target target;
    enum forward_mode mode;
    size_t waiting;     /* bytes of the response that the client hasn't taken */
    bool streams;       /* the request's body is passed through */
    bool replied;       /* the response's head was passed on */
    struct http_call_path path; /* of the call, once it has ended */
    bool in_callback;   /* the owner is being called and may cancel */
    bool done;          /* on_done() was called */
};

/* ---- headers ---- */

enum { FORWARDED_FOR_MAX = 1024, OPTIONS_MAX = 32 };

static bool is_in(struct str name, const struct http_header *headers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (str_eq_nocase(name, headers[i].name))
            return true;
    return false;
}

static bool is_listed(struct str name, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq_nocase(name, names[i]))
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

/* The values of a message's Connection headers: names of more headers that end here. */
struct options {
    struct str values[OPTIONS_MAX];
    unsigned count;
};

/* Values that name nothing but how long the connection lives are left out. */
static struct options find_options(const struct http_headers *headers)
{
    struct options options = {.count = 0};
    for (unsigned i = 0; i < headers->count && options.count < OPTIONS_MAX; i++) {
        struct str value = headers->items[i].value;
        if (value.len && str_eq_nocase(headers->items[i].name, STR("Connection")) &&
            !str_eq_nocase(value, STR("keep-alive")) && !str_eq_nocase(value, STR("close")))
            options.values[options.count++] = value;
    }
    return options;
}

/* Whether a header concerns this connection only, or is written anew by the next one's framing. */
static bool is_hop_by_hop(struct str name, const struct options *options)
{
    static const struct str names[] = {STR("Connection"),
                                       STR("Keep-Alive"),
                                       STR("TE"),
                                       STR("Trailer"),
                                       STR("Upgrade"),
                                       STR("Transfer-Encoding"),
                                       STR("Content-Length")};
    static const struct str proxy = STR("Proxy-");
    if (is_listed(name, names, ARRAY_LEN(names)) ||
        (name.len > proxy.len && str_eq_nocase(str_sub(name.ptr, proxy.len), proxy)))
        return true;
    for (unsigned i = 0; i < options->count; i++)
        if (is_option(name, options->values[i]))
            return true;
    return false;
}

/* ---- the request ---- */

/* Text on the stack; what doesn't fit any more is left out. */
struct text {
    char bytes[FORWARDED_FOR_MAX];
    size_t len;
};

/* Leaves `reserved` bytes. */
static void add_address(struct text *text, struct str address, size_t reserved)
{
    static const struct str comma = STR(", ");
    if (text->len + comma.len + address.len + reserved > sizeof text->bytes)
        return;
    if (text->len) {
        memcpy(text->bytes + text->len, comma.ptr, comma.len);
        text->len += comma.len;
    }
    memcpy(text->bytes + text->len, address.ptr, address.len);
    text->len += address.len;
}

/*
 * The addresses that the request has come through, with the client's at the end: that one is never
 * left out, whatever the client wrote before it, since login attempts are counted by it.
 */
static void forwarded_for(const struct http_exchange *ex, struct text *ret)
{
    const struct http_headers *headers = &http_exchange_head(ex)->headers;
    const char *peer = http_exchange_peer(ex);
    size_t reserved = strlen(", ") + strlen(peer);
    ret->len = 0;
    for (unsigned i = 0; i < headers->count; i++)
        if (str_eq_nocase(headers->items[i].name, STR("X-Forwarded-For")))
            add_address(ret, headers->items[i].value, reserved);
    if (strcmp(peer, "unix") != 0)
        add_address(ret, str_of(peer), 0);
}

static bool passes_to_target(const struct forward *fwd, const struct options *options,
                             struct str name)
{
    static const struct str rewritten[] = {STR("Host"), STR("Expect"), STR("X-Forwarded-For")};
    return !is_listed(name, rewritten, ARRAY_LEN(rewritten)) &&
           !(fwd->params.drops && fwd->params.drops(name)) &&
           !is_in(name, fwd->params.add, fwd->params.add_count) && !is_hop_by_hop(name, options);
}

/* Fills `ret`, which borrows from the exchange and `forwarded`; returns how many. */
static unsigned build_request_headers(const struct forward *fwd, const struct text *forwarded,
                                      struct http_header *ret)
{
    const struct http_headers *from = &http_exchange_head(fwd->ex)->headers;
    const struct options options = find_options(from);
    unsigned n = 0;
    for (unsigned i = 0; i < from->count; i++)
        if (passes_to_target(fwd, &options, from->items[i].name))
            ret[n++] = from->items[i];
    for (unsigned i = 0; i < fwd->params.add_count; i++)
        ret[n++] = fwd->params.add[i];
    if (forwarded->len)
        ret[n++] = (struct http_header){STR("X-Forwarded-For"),
                                        str_sub(forwarded->bytes, forwarded->len)};
    /* A proxy before us that ends TLS has told so itself. */
    if (http_exchange_is_tls(fwd->ex) && !http_headers_get(from, "X-Forwarded-Proto").ptr)
        ret[n++] = (struct http_header){STR("X-Forwarded-Proto"), STR("https")};
    return n;
}

/* ---- the end ---- */

static void end_call(struct forward *fwd)
{
    struct http_call *call = TAKE(fwd->call);
    if (!call)
        return;
    fwd->path = http_call_path(call);
    http_call_cancel(call);
}

static void finish(struct forward *fwd, enum forward_outcome outcome, int code, const char *text)
{
    end_call(fwd);
    fwd->done = true;
    fwd->params.on_done(fwd, outcome, code, text, fwd->params.ctx);
    if (!fwd->in_callback)
        free(fwd);
}

/* The exchange goes back to the owner. */
static void give_back(struct forward *fwd)
{
    static const struct http_exchange_ops none;
    http_exchange_set_ops(fwd->ex, &none, NULL);
    http_exchange_resume(fwd->ex);
}

/* Upstream is at its end too early: the exchange goes back to the owner. */
static void finish_early(struct forward *fwd, int code, const char *text)
{
    give_back(fwd);
    finish(fwd, fwd->replied ? FORWARD_CUT : FORWARD_FAILED, code, text);
}

/* After a callback of the owner: false when it has cancelled; `fwd` is then gone. */
static bool goes_on(struct forward *fwd)
{
    fwd->in_callback = false;
    if (!fwd->done)
        return true;
    free(fwd);
    return false;
}

/* ---- from the client ---- */

static void on_request_body(struct http_exchange *ex, struct str data, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->in_callback = true;
    if (fwd->params.on_request_body)
        fwd->params.on_request_body(fwd, data, fwd->params.ctx);
    if (!goes_on(fwd))
        return;
    if (fwd->call && fwd->streams && http_call_write(fwd->call, data) > HTTP_HIGH_WATER)
        http_exchange_pause(ex);
}

static void on_request_end(struct http_exchange *ex, void *ctx)
{
    struct forward *fwd = ctx;
    if (fwd->call && fwd->streams)
        http_call_finish(fwd->call);
}

static void on_bad_request_body(struct http_exchange *ex, const char *text, void *ctx)
{
    struct forward *fwd = ctx;
    give_back(fwd);
    finish(fwd, FORWARD_BAD_BODY, ERR_SYNTAX, text);
}

static void on_response_drain(struct http_exchange *ex, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->waiting = 0;
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
    .on_bad_body = on_bad_request_body,
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
    struct http_header headers[HTTP_HEADERS_MAX + FORWARD_ADD_MAX];
    const struct options options = find_options(&head->headers);
    const struct http_header *add = fwd->params.reply_add;
    unsigned add_count = fwd->params.reply_add_count;
    unsigned n = 0;
    for (unsigned i = 0; i < head->headers.count; i++) {
        struct str name = head->headers.items[i].name;
        if (!is_hop_by_hop(name, &options) && !is_in(name, add, add_count) &&
            !(fwd->params.reply_drops && fwd->params.reply_drops(name)))
            headers[n++] = head->headers.items[i];
    }
    for (unsigned i = 0; i < add_count; i++)
        headers[n++] = add[i];
    fwd->replied = true;
    http_reply_start(fwd->ex, head->status, headers, n,
                     fwd->mode == MODE_REWRITE ? -1 : response_length(head));
    http_exchange_forget_head(fwd->ex);
}

static void on_response_head(struct http_call *call, const struct http_response_head *head,
                             void *ctx)
{
    struct forward *fwd = ctx;
    fwd->in_callback = true;
    if (fwd->params.on_head)
        fwd->params.on_head(fwd, head, fwd->params.ctx);
    if (goes_on(fwd) && fwd->mode != MODE_TAKE)
        start_reply(fwd, head);
}

static void on_response_body(struct http_call *call, struct str data, void *ctx)
{
    struct forward *fwd = ctx;
    fwd->in_callback = true;
    if (fwd->params.on_body)
        fwd->params.on_body(fwd, data, fwd->params.ctx);
    if (!goes_on(fwd))
        return;
    if (fwd->mode == MODE_PASS)
        forward_send(fwd, data);
    if (fwd->waiting > HTTP_HIGH_WATER)
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
    end_call(fwd);
    fwd->in_callback = true;
    if (fwd->params.on_end)
        fwd->params.on_end(fwd, fwd->params.ctx);
    if (!goes_on(fwd))
        return;
    if (fwd->mode != MODE_TAKE) {
        http_reply_end(fwd->ex);
        return;
    }
    give_back(fwd);
    finish(fwd, FORWARD_TAKEN, 0, "");
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    struct forward *fwd = ctx;
    end_call(fwd);
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
    if (fwd->params.body.count)
        return false;
    return head->body == HTTP_BODY_CHUNKED || head->content_length > 0;
}

static void start_call(struct forward *fwd)
{
    const struct http_request_head *head = http_exchange_head(fwd->ex);
    struct http_header headers[HTTP_HEADERS_MAX + FORWARD_ADD_MAX + 2];
    struct text forwarded;
    forwarded_for(fwd->ex, &forwarded);
    const struct http_call_params params = {
        .target = &fwd->target,
        .method = head->method,
        .path = fwd->params.path,
        .headers = headers,
        .header_count = build_request_headers(fwd, &forwarded, headers),
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
    assert(params->add_count <= FORWARD_ADD_MAX && params->reply_add_count <= FORWARD_ADD_MAX);
    struct forward *fwd = mem_alloc(sizeof(*fwd));
    fwd->ex = ex;
    fwd->params = *params;
    fwd->target = *params->target;
    fwd->streams = has_body_to_stream(fwd);
    http_exchange_set_ops(ex, &exchange_ops, fwd);
    start_call(fwd);
    return fwd;
}

void forward_rewrite(struct forward *fwd)
{
    assert(!fwd->replied && fwd->mode == MODE_PASS);
    fwd->mode = MODE_REWRITE;
}

void forward_take(struct forward *fwd)
{
    assert(!fwd->replied && fwd->mode == MODE_PASS);
    fwd->mode = MODE_TAKE;
}

void forward_send(struct forward *fwd, struct str data)
{
    fwd->waiting = http_reply_write(fwd->ex, data);
}

struct http_call_path forward_path(const struct forward *fwd)
{
    return fwd->call ? http_call_path(fwd->call) : fwd->path;
}

bool forward_body_is_sent(const struct forward *fwd)
{
    return fwd->call && http_call_is_sent(fwd->call);
}

bool forward_awaits_body(const struct forward *fwd)
{
    return fwd->call && http_call_awaits_body(fwd->call);
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
