/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long-lived stream of text lines over HTTP, client side: GET, then one callback a line; when it
 * breaks or falls silent it is opened again, with back-off. The worker's desired state and the
 * gateway's feed come this way. Empty lines are heartbeats. One loop's thread.
 */
#pragma once

#include "http/client.h"

enum {
    LINES_LINE_MAX = 8 << 20,    /* a longer line breaks the stream */
    LINES_SILENCE_MS = 15000,    /* three heartbeats: nothing for so long means the peer is gone */
    LINES_RETRY_MIN_MS = 200,    /* first retry; doubles up to the maximum */
    LINES_RETRY_MAX_MS = 5000,
};

struct line_stream;

struct line_stream_params {
    struct http_pool *pool;
    struct http_target target;
    const char *path;            /* copied */
    const char *bearer;          /* Authorization: Bearer BEARER; copied, NULL for none */
    /* A new stream was opened: what follows starts from the beginning. Optional. */
    void (*on_open)(struct line_stream *stream, void *ctx);
    /* One line without its end, never empty; borrowed for the call. */
    void (*on_line)(struct line_stream *stream, struct str line, void *ctx);
    /* The stream broke (once per break); it will be retried. `status` is the HTTP status when it
     * was not 200, else 0. The owner may free the stream here. Optional. */
    void (*on_break)(struct line_stream *stream, unsigned status, const char *text, void *ctx);
    void *ctx;
};

/* Opens at once. Returns owned. */
struct line_stream *line_stream_new(const struct line_stream_params *params);

/* Closes; allowed inside its callbacks; before its pool is freed. NULL is fine. */
void line_stream_free(struct line_stream *stream);
