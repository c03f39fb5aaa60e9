/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_stream.h"

#include "gateway/anthropic_error.h"
#include "gateway/anthropic_event_priv.h"
#include "gateway/anthropic_priv.h"
#include "gateway/anthropic_queue_priv.h"

struct anthropic_stream {
    char *model, *request_id;
    struct anthropic_queue queue;
    struct anthropic_finish finish; /* what has been told so far */
    bool is_started;                /* message_start was written */
    bool is_complete;
    char *fault; /* owned: why it isn't what the engine meant to say; NULL: it is */
};

struct anthropic_stream *anthropic_stream_new(const struct anthropic_reply *about)
{
    struct anthropic_stream *stream = mem_alloc(sizeof *stream);
    stream->model = mem_strdup(about->model);
    stream->request_id = mem_strdup(about->request_id);
    stream->queue.request_id = stream->request_id;
    stream->finish.thinking_tokens = -1;
    return stream;
}

void anthropic_stream_free(struct anthropic_stream *stream)
{
    if (!stream)
        return;
    anthropic_queue_fini(&stream->queue);
    anthropic_finish_fini(&stream->finish);
    free(stream->fault);
    free(stream->model);
    free(stream->request_id);
    free(stream);
}

bool anthropic_stream_is_complete(const struct anthropic_stream *stream)
{
    return stream->is_complete;
}

const char *anthropic_stream_fault(const struct anthropic_stream *stream)
{
    return stream->fault;
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* No stop reason yet, and the tokens are those of the first chunk, if it tells any. */
static void write_message_start(struct anthropic_stream *stream, struct buf *out)
{
    const struct anthropic_reply about = {stream->model, stream->request_id};
    struct anthropic_finish begun = stream->finish;
    begun.stop_reason = NULL;
    begun.stop_sequence = NULL;
    struct json_writer w = anthropic_event_begin("message_start", out);
    json_add_key(&w, "message");
    json_begin_object(&w);
    anthropic_write_message_head(&about, &w);
    json_add_key(&w, "content");
    json_begin_array(&w);
    json_end_array(&w);
    anthropic_finish_write_stop(&begun, false, &w);
    anthropic_finish_write_usage(&begun, &w);
    json_end_object(&w);
    anthropic_event_end(&w);
    stream->is_started = true;
}

static void write_message_end(struct anthropic_stream *stream, struct buf *out)
{
    struct json_writer w = anthropic_event_begin("message_delta", out);
    json_add_key(&w, "delta");
    json_begin_object(&w);
    anthropic_finish_write_stop(&stream->finish, stream->queue.has_calls, &w);
    json_end_object(&w);
    anthropic_finish_write_usage(&stream->finish, &w);
    anthropic_event_end(&w);
    w = anthropic_event_begin("message_stop", out);
    anthropic_event_end(&w);
    stream->is_complete = true;
}

static void write_error_event(struct anthropic_stream *stream, const char *type,
                              struct str message, struct buf *out)
{
    buf_add_cstr(out, "event: error\ndata: ");
    anthropic_write_error(type, message, stream->request_id, out);
    buf_add_cstr(out, "\n\n");
    stream->is_complete = true;
}

void anthropic_stream_fail(struct anthropic_stream *stream, const char *type, struct str message,
                           struct buf *out)
{
    if (stream->is_complete)
        return;
    stream->fault = str_dup(message);
    write_error_event(stream, type, message, out);
}

void anthropic_stream_end(struct anthropic_stream *stream, struct buf *out)
{
    struct err err = {0};
    if (stream->is_complete)
        return;
    if (!stream->finish.stop_reason)
        err_set(&err, ERR_CLOSED, "the engine's response ended before it was complete");
    else if (anthropic_queue_write(&stream->queue, true, out, &err) == 0) {
        write_message_end(stream, out);
        return;
    }
    anthropic_stream_fail(stream, "api_error", str_of(err.text), out);
}

/* --- chunks ----------------------------------------------------------------------------------- */

static int take_delta(struct anthropic_stream *stream, const json_t *delta, struct err *err)
{
    json_t *piece, *pieces = json_object_get(delta, "tool_calls");
    size_t i;
    int rc = anthropic_queue_add_text(&stream->queue, ANTHROPIC_THINKING,
                                      anthropic_reasoning_of(delta), err);
    if (rc == 0)
        rc = anthropic_queue_add_text(&stream->queue, ANTHROPIC_TEXT,
                                      json_object_get(delta, "content"), err);
    if (rc == 0)
        rc = anthropic_queue_add_text(&stream->queue, ANTHROPIC_TEXT,
                                      json_object_get(delta, "refusal"), err);
    json_array_foreach(pieces, i, piece) {
        if (rc < 0)
            break;
        rc = anthropic_queue_add_call(&stream->queue, piece, err);
    }
    return rc;
}

/* Only the first choice is the message's; a request for more can't come from this API. */
static int take_choices(struct anthropic_stream *stream, const json_t *choices, struct err *err)
{
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const json_t *choice = json_array_get(choices, i);
        if (json_member_int(choice, "index", 0) != 0)
            continue;
        int rc = take_delta(stream, json_object_get(choice, "delta"), err);
        if (rc < 0)
            return rc;
        anthropic_finish_take_choice(&stream->finish, choice);
    }
    return 0;
}

static int take_chunk(struct anthropic_stream *stream, const json_t *chunk, struct buf *out,
                      struct err *err)
{
    anthropic_finish_take_usage(&stream->finish, json_object_get(chunk, "usage"));
    if (!stream->is_started)
        write_message_start(stream, out);
    int rc = take_choices(stream, json_object_get(chunk, "choices"), err);
    return rc < 0 ? rc : anthropic_queue_write(&stream->queue, false, out, err);
}

void anthropic_stream_event(struct anthropic_stream *stream, struct str data, struct buf *out)
{
    auto_fini(json_release) json_t *chunk = NULL;
    struct err err = {0};
    struct str fault;
    if (stream->is_complete)
        return;
    if (str_eq(str_trim(data), STR("[DONE]"))) {
        anthropic_stream_end(stream, out);
        return;
    }
    int rc = anthropic_read(data, ANTHROPIC_EVENT_MAX, &chunk, &err);
    if (rc < 0) {
        err_wrap(&err, rc, "an event of the engine's response");
    } else if (anthropic_find_fault(chunk, &fault)) {
        write_error_event(stream, anthropic_fault_type(chunk), fault, out);
        return;
    } else {
        rc = take_chunk(stream, chunk, out, &err);
    }
    if (rc < 0)
        anthropic_stream_fail(stream, "api_error", str_of(err.text), out);
}
