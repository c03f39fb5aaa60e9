/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/request.h"

#include "base/num.h"

#include <stdlib.h>

enum { KEPT_MEMORY = 64 << 10 };

/* ---- the head ---- */

struct str request_header(const struct request *request, struct str name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq_nocase(request->headers[i].name, name))
            return request->headers[i].value;
    return (struct str){0};
}

static bool read_request_line(struct request *request, struct str line)
{
    struct str version;
    if (!str_split(&line, ' ', &request->method) || !str_split(&line, ' ', &request->path) ||
        !str_split(&line, ' ', &version))
        return false;
    request->path.len = str_find(request->path, '?');
    request->is_kept = str_eq(version, STR("HTTP/1.1"));
    return str_has_prefix(version, STR("HTTP/1."));
}

static bool read_header(struct request *request, struct str line)
{
    size_t colon = str_find(line, ':');
    if (colon == line.len || request->header_count == REQUEST_HEADERS_MAX)
        return false;
    request->headers[request->header_count++] = (struct request_header){
        .name = str_sub(line.ptr, colon), .value = str_trim(str_skip(line, colon + 1))};
    return true;
}

static bool start_body(struct request *request)
{
    struct str length = request_header(request, STR("Content-Length"));
    struct str coding = request_header(request, STR("Transfer-Encoding"));
    if (str_eq_nocase(request_header(request, STR("Connection")), STR("close")))
        request->is_kept = false;
    crypto_hash_sha256_init(&request->hash);
    request->is_looked_at = true;
    if (str_eq_nocase(coding, STR("chunked"))) {
        request->state = BODY_SIZE_LINE;
        return true;
    }
    if (length.len && num_parse_u64(length, &request->left) < 0)
        return false;
    request->state = request->left ? BODY_LENGTH : BODY_NONE;
    return true;
}

static bool read_head(struct request *request)
{
    struct str rest = buf_str(&request->head), line;
    if (!str_split(&rest, '\n', &line) || !read_request_line(request, str_trim(line)))
        return false;
    while (str_split(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.len && !read_header(request, line))
            return false;
    }
    return start_body(request);
}

/*
 * Takes the head, or as much of it as came. Its end may lie across two pieces: then the new piece
 * is added to what is there, and what belongs to the body is given back.
 */
static enum request_news feed_head(struct request *request, struct str *data)
{
    struct buf *head = &request->head;
    size_t before = head->len, from = before > 3 ? before - 3 : 0;
    const char *end = before ? NULL : memmem(data->ptr, data->len, "\r\n\r\n", 4);
    size_t take = end ? (size_t)(end - data->ptr) + 4 : data->len;
    if (before + take > REQUEST_HEAD_MAX)
        return REQUEST_BAD;
    buf_add(head, data->ptr, take);
    if (!end && before) {
        end = memmem(head->ptr + from, head->len - from, "\r\n\r\n", 4);
        take = end ? (size_t)(end - head->ptr) + 4 - before : take;
        head->len = before + take;
    }
    *data = str_skip(*data, take);
    if (!end)
        return REQUEST_MORE;
    request->has_head = true;
    return read_head(request) ? REQUEST_HEAD : REQUEST_BAD;
}

/* ---- the body ---- */

static void take(struct request *request, struct str *data)
{
    size_t n = data->len < request->left ? data->len : (size_t)request->left;
    if (request->is_looked_at) {
        buf_add(&request->body, data->ptr, n);
        crypto_hash_sha256_update(&request->hash, (const unsigned char *)data->ptr, n);
    }
    request->body_bytes += n;
    request->left -= n;
    *data = str_skip(*data, n);
}

/* True when a whole line of the transfer coding stands in `line`. */
static bool take_line(struct request *request, struct str *data)
{
    size_t n = str_find(*data, '\n');
    bool is_whole = n < data->len;
    buf_add(&request->line, data->ptr, n);
    *data = str_skip(*data, is_whole ? n + 1 : n);
    return is_whole;
}

static enum request_news feed_coding(struct request *request, struct str *data)
{
    if (request->line.len > REQUEST_HEAD_MAX)
        return REQUEST_BAD;
    if (!take_line(request, data))
        return REQUEST_MORE;
    struct str line = str_trim(buf_str(&request->line));
    enum body_state was = request->state;
    if (was == BODY_SIZE_LINE) {
        for (size_t i = 0; i < line.len && line.ptr[i] != ';'; i++) {
            const char *digits = "0123456789abcdef", *at = strchr(digits, line.ptr[i] | 0x20);
            if (!at)
                return REQUEST_BAD;
            request->left = request->left * 16 + (uint64_t)(at - digits);
        }
        request->state = request->left ? BODY_CHUNK : BODY_TRAILER;
    } else if (was == BODY_CHUNK_END) {
        request->state = BODY_SIZE_LINE;
    } else if (line.len == 0) {
        request->state = BODY_NONE;
    }
    buf_clear(&request->line);
    return REQUEST_MORE;
}

static enum request_news feed_body(struct request *request, struct str *data)
{
    while (request->state != BODY_NONE) {
        enum request_news news = REQUEST_MORE;
        if (data->len == 0)
            return REQUEST_MORE;
        if (request->state == BODY_LENGTH || request->state == BODY_CHUNK)
            take(request, data);
        else
            news = feed_coding(request, data);
        if (news == REQUEST_BAD)
            return news;
        if (request->state == BODY_LENGTH && request->left == 0)
            request->state = BODY_NONE;
        if (request->state == BODY_CHUNK && request->left == 0)
            request->state = BODY_CHUNK_END;
    }
    return REQUEST_DONE;
}

enum request_news request_feed(struct request *request, struct str *data)
{
    return request->has_head ? feed_body(request, data) : feed_head(request, data);
}

/* ---- life ---- */

static void clear(struct buf *buf)
{
    if (buf->cap > KEPT_MEMORY)
        buf_fini(buf);
    else
        buf_clear(buf);
}

void request_reset(struct request *request)
{
    clear(&request->head);
    clear(&request->line);
    clear(&request->body);
    request->has_head = false;
    request->header_count = 0;
    request->state = BODY_NONE;
    request->left = 0;
    request->body_bytes = 0;
}

void request_fini(struct request *request)
{
    buf_fini(&request->head);
    buf_fini(&request->line);
    buf_fini(&request->body);
}
