/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/stream_filter.h"

void stream_filter_init(struct stream_filter *filter, enum operation operation, bool hides_usage,
                        int64_t started_us)
{
    *filter = (struct stream_filter){
        .operation = operation, .hides_usage = hides_usage, .started_us = started_us};
}

void stream_filter_fini(struct stream_filter *filter)
{
    sse_fini(&filter->sse);
}

/* ---- what an event says ---- */

/* Whether an event of that type is the last of its stream. */
static bool is_terminal_type(struct str type)
{
    static const struct str types[] = {STR("response.completed"), STR("response.incomplete"),
                                       STR("response.failed"), STR("message_stop")};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(type, types[i]))
            return true;
    return false;
}

static bool is_content(const struct stream_filter *filter, const struct chunk_view *chunk)
{
    if (chunk->has_content)
        return true;
    if (filter->operation == OPERATION_MESSAGES)
        return str_eq(chunk->type, STR("content_block_delta"));
    return filter->operation == OPERATION_RESPONSES &&
           str_has_suffix(chunk->type, STR(".delta"));
}

static void note_chunk(struct stream_filter *filter, struct str data,
                       const struct chunk_view *chunk, int64_t now_us)
{
    if (chunk->usage.len && usage_read(data, &filter->usage) &&
        str_eq(chunk->type, STR("message_start")))
        filter->usage.has_completion = false; /* it tells what there is before the first token */
    filter->has_error |= chunk->has_error || str_eq(chunk->type, STR("error"));
    filter->is_over |= chunk->is_done || is_terminal_type(chunk->type);
    filter->finishes += chunk->finishes;
    filter->choices = chunk->choices > filter->choices ? chunk->choices : filter->choices;
    bool is_finished = chunk->has_finish && filter->finishes >= filter->choices;
    filter->is_complete |= filter->is_over || is_finished || filter->has_error;
    if (!is_content(filter, chunk))
        return;
    filter->content_chunks++;
    filter->first_us = filter->first_us ? filter->first_us : now_us;
    filter->last_us = now_us;
}

/* The chunk that OpenAI sends for "include_usage": no choices, only usage. */
static bool is_usage_chunk(const struct chunk_view *chunk)
{
    return chunk->has_choices && chunk->choices_is_empty;
}

/* ---- what the gateway measured ---- */

static struct usage_timing timing_of(const struct stream_filter *filter)
{
    struct usage_timing timing = {-1, -1, -1};
    double tokens = (double)filter->usage.completion;
    if (!filter->first_us)
        return timing;
    timing.time_to_first_token_ms = (double)(filter->first_us - filter->started_us) / 1000;
    double span_ms = (double)(filter->last_us - filter->first_us) / 1000;
    if (tokens < 2 || span_ms <= 0)
        return timing;
    timing.time_per_output_token_ms = span_ms / (tokens - 1);
    timing.tokens_per_second = 1000 * (tokens - 1) / span_ms;
    return timing;
}

/* Sends the event with the timings put into its usage; other lines of it are only those we know. */
static void send_completed(const struct stream_filter *filter, const struct sse_event *event,
                           const struct chunk_view *chunk, stream_send *send, void *ctx)
{
    struct usage_timing timing = timing_of(filter);
    struct buf out = {0};
    buf_add_cstr(&out, "data: ");
    usage_write_timing(event->data, chunk, &timing, &out);
    buf_add_cstr(&out, "\n\n");
    send(buf_str(&out), ctx);
    buf_fini(&out);
}

/* ---- passing on ---- */

/* Events that lie one behind the other are sent together. */
struct run {
    struct str bytes;
    stream_send *send;
    void *ctx;
};

static void flush(struct run *run)
{
    if (run->bytes.len)
        run->send(run->bytes, run->ctx);
    run->bytes = (struct str){0};
}

static void extend(struct run *run, struct str raw)
{
    if (run->bytes.len && run->bytes.ptr + run->bytes.len == raw.ptr) {
        run->bytes.len += raw.len;
        return;
    }
    flush(run);
    run->bytes = raw;
}

static bool is_openai_stream(const struct stream_filter *filter)
{
    return filter->operation == OPERATION_CHAT || filter->operation == OPERATION_COMPLETIONS;
}

static void take_event(struct stream_filter *filter, const struct sse_event *event, int64_t now_us,
                       struct run *run)
{
    struct chunk_view chunk = {0};
    bool is_chunk = event->data.ptr && chunk_read(event->data, &chunk);
    if (is_chunk)
        note_chunk(filter, event->data, &chunk, now_us);
    bool has_usage = is_chunk && is_openai_stream(filter) && chunk.usage.len;
    bool is_final = has_usage && (is_usage_chunk(&chunk) || chunk.has_finish);
    if (is_final && filter->hides_usage && is_usage_chunk(&chunk)) {
        flush(run);
        return;
    }
    bool is_one_line = !event->data.len || !memchr(event->data.ptr, '\n', event->data.len);
    if (!is_final || filter->hides_usage || !is_one_line) {
        extend(run, event->raw);
        return;
    }
    flush(run);
    send_completed(filter, event, &chunk, run->send, run->ctx);
}

void stream_filter_feed(struct stream_filter *filter, struct str piece, int64_t now_us,
                        stream_send *send, void *ctx)
{
    struct run run = {.send = send, .ctx = ctx};
    struct sse_event event;
    sse_feed(&filter->sse, piece);
    while (sse_next(&filter->sse, &event)) {
        bool is_borrowed = event.raw.ptr >= piece.ptr && event.raw.ptr < piece.ptr + piece.len;
        take_event(filter, &event, now_us, &run);
        filter->is_inside = event.is_partial;
        if (!is_borrowed)
            flush(&run); /* its memory is used again for the next one */
    }
    flush(&run);
}

bool stream_filter_end(struct stream_filter *filter, bool is_whole)
{
    bool is_known = is_openai_stream(filter) || filter->operation == OPERATION_MESSAGES ||
                    filter->operation == OPERATION_RESPONSES;
    return filter->is_complete || (!is_known && is_whole);
}
