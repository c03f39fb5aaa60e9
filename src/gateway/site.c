/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/site.h"

#include "base/mem.h"
#include "gateway/accept.h"

enum {
    PIECE = 64 << 10,
    HEADERS_MAX = 8,
};

/*
 * Only this server's scripts, styles and fonts; nothing in the page, so that text of a model can't
 * become one. Images and sounds also from memory, where the playground has them.
 */
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "               \
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static const struct str assets = STR("/assets/");

/* ---- which file ---- */

static int compare(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.ptr, b.ptr, n);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static const struct site_file *find_file(const struct site *site, struct str path)
{
    size_t low = 0, high = site->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(path, str_of(site->files[middle].path));
        if (order == 0)
            return &site->files[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct site_file *site_find(const struct site *site, struct str path)
{
    return find_file(site, str_eq(path, STR("/")) ? STR("/index.html") : path);
}

/* Somebody went there with a browser; programs and scripts don't name HTML. */
static bool is_navigation(const struct http_request_head *head)
{
    return accept_weight(http_headers_get(&head->headers, "Accept"), STR("text/html")) > 0;
}

static bool prefers_gzip(const struct http_headers *headers)
{
    struct str list = http_headers_get(headers, "Accept-Encoding");
    int gzip = accept_weight(list, STR("gzip"));
    return gzip > 0 && gzip >= accept_weight(list, STR("identity"));
}

static struct str without_weakness(struct str etag)
{
    return str_skip(etag, str_has_prefix(etag, STR("W/")) ? 2 : 0);
}

static bool has_it(const struct http_headers *headers, const struct site_file *file)
{
    struct str list = http_headers_get(headers, "If-None-Match"), item;
    struct str etag = without_weakness(str_of(file->etag));
    while (str_split(&list, ',', &item)) {
        item = str_trim(item);
        if (str_eq(item, STR("*")) || str_eq(without_weakness(item), etag))
            return true;
    }
    return false;
}

struct site_answer site_answer(const struct site *site, const struct http_request_head *head)
{
    struct site_answer answer = {0};
    if (head->method != HTTP_GET && head->method != HTTP_HEAD)
        return answer;
    answer.file = site_find(site, head->path);
    if (!answer.file && !str_has_prefix(head->path, assets) && is_navigation(head))
        answer.file = site_find(site, STR("/"));
    if (answer.file) {
        answer.is_gzip = answer.file->gzip.len > 0 && prefers_gzip(&head->headers);
        answer.is_known = has_it(&head->headers, answer.file);
    }
    return answer;
}

/* ---- the reply ---- */

static unsigned fill_headers(const struct site_answer *answer, struct http_header *ret)
{
    const struct site_file *file = answer->file;
    bool is_asset = str_has_prefix(str_of(file->path), assets);
    unsigned count = 0;
    if (!answer->is_known)
        ret[count++] = (struct http_header){STR("Content-Type"), str_of(file->type)};
    if (!answer->is_known && answer->is_gzip)
        ret[count++] = (struct http_header){STR("Content-Encoding"), STR("gzip")};
    ret[count++] = (struct http_header){STR("Vary"), STR("Accept-Encoding")};
    ret[count++] = (struct http_header){STR("ETag"), str_of(file->etag)};
    ret[count++] = (struct http_header){
        STR("Cache-Control"),
        is_asset ? STR("public, max-age=31536000, immutable") : STR("no-cache")};
    ret[count++] =
        (struct http_header){STR("Content-Security-Policy"), STR(CONTENT_SECURITY_POLICY)};
    ret[count++] = (struct http_header){STR("X-Content-Type-Options"), STR("nosniff")};
    ret[count++] = (struct http_header){STR("Referrer-Policy"), STR("same-origin")};
    return count;
}

/* A file that is larger than what may wait for a socket; the smaller ones need no memory. */
struct sending {
    struct str rest;
};

static void send_more(struct http_exchange *ex, void *ctx)
{
    struct sending *sending = ctx;
    size_t waiting = 0;
    while (sending->rest.len && waiting <= HTTP_HIGH_WATER) {
        size_t n = sending->rest.len < PIECE ? sending->rest.len : PIECE;
        waiting = http_reply_write(ex, str_sub(sending->rest.ptr, n));
        sending->rest = str_skip(sending->rest, n);
    }
    if (sending->rest.len == 0)
        http_reply_end(ex);
}

static void end_sending(struct http_exchange *ex, bool gone, void *ctx)
{
    free(ctx);
}

static void reply_in_pieces(struct http_exchange *ex, const struct http_header *headers,
                            unsigned count, struct str body)
{
    static const struct http_exchange_ops ops = {.on_drain = send_more, .on_close = end_sending};
    struct sending *sending = mem_alloc(sizeof *sending);
    sending->rest = body;
    http_exchange_set_ops(ex, &ops, sending);
    http_reply_start(ex, 200, headers, count, (int64_t)body.len);
    send_more(ex, sending);
}

bool site_reply(const struct site *site, struct http_exchange *ex)
{
    struct site_answer answer = site_answer(site, http_exchange_head(ex));
    struct http_header headers[HEADERS_MAX];
    if (!answer.file)
        return false;
    unsigned count = fill_headers(&answer, headers);
    struct str body = answer.is_gzip ? answer.file->gzip : answer.file->plain;
    if (answer.is_known)
        http_reply(ex, 304, headers, count, (struct str){0});
    else if (body.len > HTTP_HIGH_WATER)
        reply_in_pieces(ex, headers, count, body);
    else
        http_reply(ex, 200, headers, count, body);
    return true;
}
