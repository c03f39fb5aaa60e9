/* SPDX-License-Identifier: Apache-2.0 */
#include "http/lines.h"

#include "http/client_priv.h"

#include <stdio.h>

struct line_stream {
    struct line_stream_params params; /* without its strings: */
    char *path;                       /* owned */
    char *bearer;                     /* owned; NULL for none */
    struct http_call *call;           /* NULL while waiting for the retry, and once freed */
    struct timer retry;
    int64_t delay_ms;   /* before the next retry */
    struct buf partial; /* start of a line whose end hasn't come */
};

static void open_stream(struct line_stream *stream);

static void on_retry(struct timer *timer, void *ctx)
{
    (void)timer;
    open_stream(ctx);
}

/* Ends the call, if it didn't end by itself, and opens the stream again later. */
static void break_stream(struct line_stream *stream, unsigned status, const char *text)
{
    http_call_cancel(TAKE(stream->call));
    buf_fini(&stream->partial);
    timer_start(&stream->retry, stream->delay_ms);
    stream->delay_ms *= 2;
    if (stream->delay_ms > LINES_RETRY_MAX_MS)
        stream->delay_ms = LINES_RETRY_MAX_MS;
    if (stream->params.on_break)
        stream->params.on_break(stream, status, text, stream->params.ctx);
}

static void on_head(struct http_call *call, const struct http_response_head *head, void *ctx)
{
    (void)call;
    struct line_stream *stream = ctx;
    if (head->status != 200) {
        char text[64];
        snprintf(text, sizeof text, "the server answered with status %u", head->status);
        break_stream(stream, head->status, text);
        return;
    }
    if (stream->params.on_open)
        stream->params.on_open(stream, stream->params.ctx);
}

static void give_line(struct line_stream *stream, struct str line)
{
    if (str_has_suffix(line, STR("\r")))
        line.len--;
    if (line.len == 0)
        return;
    /* A peer that sends lines is well: after its next break it is tried again soon. */
    stream->delay_ms = LINES_RETRY_MIN_MS;
    stream->params.on_line(stream, line, stream->params.ctx);
}

/* A line's end: what was left of earlier pieces stands before `tail`. */
static void finish_line(struct line_stream *stream, struct str tail)
{
    if (stream->partial.len == 0) {
        give_line(stream, tail);
        return;
    }
    buf_add_str(&stream->partial, tail);
    struct buf line = stream->partial;
    stream->partial = (struct buf){0};
    give_line(stream, buf_str(&line));
    buf_fini(&line);
}

static void on_body(struct http_call *call, struct str data, void *ctx)
{
    struct line_stream *stream = ctx;
    while (data.len) {
        size_t n = str_find(data, '\n');
        if (stream->partial.len + n > LINES_LINE_MAX) {
            char text[64];
            snprintf(text, sizeof text, "a line is longer than %d bytes", LINES_LINE_MAX);
            break_stream(stream, 0, text);
            return;
        }
        if (n == data.len) {
            buf_add_str(&stream->partial, data);
            return;
        }
        finish_line(stream, str_sub(data.ptr, n));
        if (stream->call != call)
            return;
        data = str_skip(data, n + 1);
    }
}

static void on_end(struct http_call *call, void *ctx)
{
    (void)call;
    struct line_stream *stream = ctx;
    stream->call = NULL;
    break_stream(stream, 0, "the server ended the stream");
}

static void on_error(struct http_call *call, int code, const char *text, void *ctx)
{
    (void)call, (void)code;
    struct line_stream *stream = ctx;
    stream->call = NULL;
    break_stream(stream, 0, text);
}

static void open_stream(struct line_stream *stream)
{
    static const struct http_call_ops ops = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    char *bearer = stream->bearer ? mem_printf("Bearer %s", stream->bearer) : NULL;
    struct http_header authorization = {STR("Authorization"), str_of(bearer)};
    struct http_call_params params = {
        .target = &stream->params.target,
        .method = HTTP_GET,
        .path = str_of(stream->path),
        .headers = &authorization,
        .header_count = bearer ? 1 : 0,
        .head_timeout_ms = LINES_SILENCE_MS,
        .idle_timeout_ms = LINES_SILENCE_MS,
    };
    stream->call = http_call_start(stream->params.pool, &params, &ops, stream);
    mem_free_secret(bearer);
}

struct line_stream *line_stream_new(const struct line_stream_params *params)
{
    struct line_stream *stream = mem_alloc(sizeof *stream);
    stream->params = *params;
    stream->path = mem_strdup(params->path);
    stream->bearer = mem_strdup(params->bearer);
    stream->delay_ms = LINES_RETRY_MIN_MS;
    timer_init(&stream->retry, params->pool->loop, on_retry, stream);
    open_stream(stream);
    return stream;
}

static void release(void *arg)
{
    struct line_stream *stream = arg;
    free(stream->path);
    mem_free_secret(stream->bearer);
    free(stream);
}

void line_stream_free(struct line_stream *stream)
{
    if (!stream)
        return;
    struct loop *loop = stream->params.pool->loop;
    http_call_cancel(TAKE(stream->call));
    timer_stop(&stream->retry);
    buf_fini(&stream->partial);
    loop_defer(loop, release, stream); /* its callback may be on the stack */
}
