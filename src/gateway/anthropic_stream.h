/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine's streamed chat completion as the events of Anthropic's Messages API. Pure: it takes
 * the data of the engine's events one by one and appends what the client gets; one thread at a
 * time.
 *
 *     struct anthropic_stream *stream = anthropic_stream_new(&about);
 *     for each event:  anthropic_stream_event(stream, data, &out); send(out);
 *     at its end:      anthropic_stream_end(stream, &out);
 *     anthropic_stream_free(stream);
 *
 * Every stream ends in exactly one `message_stop` or `error` event, whatever the engine does: a
 * response that is cut off never looks like a whole one.
 */
#pragma once

#include "gateway/anthropic_response.h"
#include "gateway/sse.h"

enum { ANTHROPIC_EVENT_MAX = SSE_EVENT_MAX }; /* bytes of one event's data */

struct anthropic_stream;

/* Copies what `about` says. Returns owned. */
struct anthropic_stream *anthropic_stream_new(const struct anthropic_reply *about)
    __attribute__((returns_nonnull));
void anthropic_stream_free(struct anthropic_stream *stream);

/* Takes the data of one event: a chat completion chunk, an error object or [DONE]. Appends zero or
 * more events to `out`. Does nothing once the stream is complete. */
void anthropic_stream_event(struct anthropic_stream *stream, struct str data, struct buf *out);

/* The engine's response has ended. Without [DONE] it is whole if a finish_reason has come. */
void anthropic_stream_end(struct anthropic_stream *stream, struct buf *out);

/* Ends the stream with an error event for a failure that the caller has seen; `type` as
 * anthropic_error_type() gives it. Does nothing once the stream is complete. */
void anthropic_stream_fail(struct anthropic_stream *stream, const char *type, struct str message,
                           struct buf *out);

/* Why the stream ended in an error event that the engine didn't send: it broke off, can't be
 * understood or passes a limit. NULL: it didn't. Lives as long as the stream. */
const char *anthropic_stream_fault(const struct anthropic_stream *stream);

/* Whether the last event was written. */
bool anthropic_stream_is_complete(const struct anthropic_stream *stream);
