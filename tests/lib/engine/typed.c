/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/content_priv.h"

#include <inttypes.h>

/* ---- Responses ---- */

static void put_response(const struct content *content, const char *status, struct buf *out)
{
    buf_printf(out, "{\"id\":\"resp_%" PRIu64 "\",\"object\":\"response\",\"created_at\":%" PRId64
               ",\"status\":\"%s\",\"model\":\"%.*s\",\"output\":[",
               content->number, content->created, status, STR_ARGS(content->model));
    if (strcmp(status, "in_progress") == 0) {
        buf_add_cstr(out, "],\"usage\":null}");
        return;
    }
    buf_add_cstr(out, "{\"type\":\"message\",\"role\":\"assistant\",\"content\":"
                      "[{\"type\":\"output_text\",\"text\":\"");
    text_put_all(content, out);
    buf_add_cstr(out, "\"}]}],\"usage\":");
    if (content->script->usage == USAGE_NONE) {
        buf_add_cstr(out, "null}");
        return;
    }
    buf_add_char(out, '{');
    usage_put_input_output(content, content_tokens(content, content->events), out);
    buf_add_cstr(out, "}}");
}

static void put_response_event(const struct content *content, const char *type, const char *status,
                               struct buf *out)
{
    event_begin(content, type, out);
    buf_printf(out, "{\"type\":\"%s\",\"response\":", type);
    put_response(content, status, out);
    buf_add_char(out, '}');
    event_end(content, out);
}

static void responses_event(const struct content *content, int64_t i, struct buf *out)
{
    if (i == 0)
        put_response_event(content, "response.created", "in_progress", out);
    event_begin(content, "response.output_text.delta", out);
    buf_add_cstr(out, "{\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"");
    text_put(content, i, out);
    buf_add_cstr(out, "\"}");
    event_end(content, out);
}

/* ---- Messages ---- */

static void put_message(const struct content *content, bool is_whole, struct buf *out)
{
    buf_printf(out, "{\"id\":\"msg_%" PRIu64 "\",\"type\":\"message\",\"role\":\"assistant\","
               "\"model\":\"%.*s\",\"content\":[",
               content->number, STR_ARGS(content->model));
    if (is_whole) {
        buf_add_cstr(out, "{\"type\":\"text\",\"text\":\"");
        text_put_all(content, out);
        buf_add_cstr(out, "\"}");
    }
    buf_printf(out, "],\"stop_reason\":%s,\"usage\":{", is_whole ? "\"end_turn\"" : "null");
    usage_put_input_output(content, is_whole ? content_tokens(content, content->events) : 0, out);
    buf_add_cstr(out, "}}");
}

static void put_simple(const struct content *content, const char *type, const char *rest,
                       struct buf *out)
{
    event_begin(content, type, out);
    buf_printf(out, "{\"type\":\"%s\"%s}", type, rest);
    event_end(content, out);
}

static void messages_event(const struct content *content, int64_t i, struct buf *out)
{
    if (i == 0) {
        event_begin(content, "message_start", out);
        buf_add_cstr(out, "{\"type\":\"message_start\",\"message\":");
        put_message(content, false, out);
        buf_add_char(out, '}');
        event_end(content, out);
        put_simple(content, "content_block_start",
                   ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}", out);
    }
    event_begin(content, "content_block_delta", out);
    buf_add_cstr(out, "{\"type\":\"content_block_delta\",\"index\":0,"
                      "\"delta\":{\"type\":\"text_delta\",\"text\":\"");
    text_put(content, i, out);
    buf_add_cstr(out, "\"}}");
    event_end(content, out);
}

static void messages_tail(const struct content *content, struct buf *out)
{
    put_simple(content, "content_block_stop", ",\"index\":0", out);
    if (content->script->finish) {
        event_begin(content, "message_delta", out);
        buf_printf(out, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\"}",
                   content->is_capped ? "max_tokens" : "end_turn");
        if (content->script->usage != USAGE_NONE)
            buf_printf(out, ",\"usage\":{\"output_tokens\":%" PRId64 "}",
                       content_tokens(content, content->events));
        buf_add_char(out, '}');
        event_end(content, out);
    }
    if (content->script->done)
        put_simple(content, "message_stop", "", out);
}

/* ---- both ---- */

void typed_event(const struct content *content, int64_t i, struct buf *out)
{
    if (content->api == API_MESSAGES)
        messages_event(content, i, out);
    else
        responses_event(content, i, out);
}

void typed_tail(const struct content *content, struct buf *out)
{
    if (content->api == API_MESSAGES)
        messages_tail(content, out);
    else if (content->script->finish)
        put_response_event(content, "response.completed", "completed", out);
}

void typed_whole(const struct content *content, struct buf *out)
{
    if (content->api == API_MESSAGES)
        put_message(content, true, out);
    else
        put_response(content, "completed", out);
}
