/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/content_priv.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *suffix;
    enum api api;
} paths[] = {
    {"/chat/completions", API_CHAT},
    {"/completions", API_COMPLETIONS},
    {"/completion", API_LLAMA},
    {"/responses", API_RESPONSES},
    {"/messages", API_MESSAGES},
    {"/messages/count_tokens", API_COUNT_TOKENS},
    {"/embeddings", API_EMBEDDINGS},
    {"/rerank", API_RERANK},
    {"/score", API_SCORE},
    {"/tokenize", API_TOKENIZE},
    {"/moderations", API_MODERATIONS},
    {"/images/generations", API_IMAGES},
    {"/images/edits", API_IMAGES},
    {"/images/variations", API_IMAGES},
    {"/audio/speech", API_SPEECH},
    {"/audio/transcriptions", API_TRANSCRIPTIONS},
    {"/audio/translations", API_TRANSCRIPTIONS},
};

enum api content_api(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (str_has_suffix(path, str_of(paths[i].suffix)))
            return paths[i].api;
    return API_NONE;
}

int64_t content_tokens(const struct content *content, int64_t events)
{
    return content->script->completion >= 0 ? content->script->completion : events;
}

/* ---- pieces ---- */

void text_put(const struct content *content, int64_t i, struct buf *out)
{
    char digits[24];
    size_t width = (size_t)content->script->bytes;
    size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRId64, i);
    if (width > len) {
        memset(buf_reserve(out, width - len), '0', width - len);
        buf_grew(out, width - len);
    }
    size_t take = width < len ? width : len;
    buf_add(out, digits + len - take, take);
}

void text_put_all(const struct content *content, struct buf *out)
{
    for (int64_t i = 0; i < content->events; i++)
        text_put(content, i, out);
}

void event_begin(const struct content *content, const char *type, struct buf *out)
{
    const char *line_end = content->script->crlf ? "\r\n" : "\n";
    if (type)
        buf_printf(out, "event: %s%s", type, line_end);
    buf_add_cstr(out, "data: ");
}

void event_end(const struct content *content, struct buf *out)
{
    buf_add_cstr(out, content->script->crlf ? "\r\n\r\n" : "\n\n");
}

static bool is_typed(const struct content *content)
{
    return content->api == API_RESPONSES || content->api == API_MESSAGES;
}

static const char *finish_reason(const struct content *content)
{
    return content->is_capped ? "length" : "stop";
}

/* ---- chat, completions, llama.cpp's own ---- */

static void put_chunk_head(const struct content *content, struct buf *out)
{
    bool is_chat = content->api == API_CHAT;
    buf_printf(out, "{\"id\":\"%s-%" PRIu64 "\",\"object\":\"%s\",\"created\":%" PRId64
               ",\"model\":\"%.*s\",\"choices\":[",
               is_chat ? "chatcmpl" : "cmpl", content->number,
               is_chat ? "chat.completion.chunk" : "text_completion", content->created,
               STR_ARGS(content->model));
}

static void put_chat_delta(const struct content *content, int64_t i, struct buf *out)
{
    buf_printf(out, "{\"index\":0,\"delta\":{%s\"%s\":\"", i == 0 ? "\"role\":\"assistant\"," : "",
               i < content->script->reasoning ? "reasoning_content" : "content");
    text_put(content, i, out);
    buf_add_cstr(out, "\"},\"logprobs\":null,\"finish_reason\":null}]");
}

static void put_chunk(const struct content *content, int64_t i, struct buf *out)
{
    put_chunk_head(content, out);
    if (content->api == API_CHAT) {
        put_chat_delta(content, i, out);
    } else {
        buf_add_cstr(out, "{\"index\":0,\"text\":\"");
        text_put(content, i, out);
        buf_add_cstr(out, "\",\"logprobs\":null,\"finish_reason\":null}]");
    }
    usage_put_event(content, content_tokens(content, i + 1), false, out);
    buf_add_char(out, '}');
}

static void put_llama_chunk(const struct content *content, int64_t i, struct buf *out)
{
    buf_add_cstr(out, "{\"index\":0,\"content\":\"");
    text_put(content, i, out);
    buf_add_cstr(out, "\",\"stop\":false}");
}

static void put_finish(const struct content *content, struct buf *out)
{
    event_begin(content, NULL, out);
    if (content->api == API_LLAMA) {
        buf_add_cstr(out, "{\"index\":0,\"content\":\"\",\"stop\":true");
    } else {
        put_chunk_head(content, out);
        buf_printf(out, "{\"index\":0,%s,\"logprobs\":null,\"finish_reason\":\"%s\"}]",
                   content->api == API_CHAT ? "\"delta\":{}" : "\"text\":\"\"",
                   finish_reason(content));
    }
    usage_put_event(content, content_tokens(content, content->events), true, out);
    buf_add_char(out, '}');
    event_end(content, out);
}

static void put_usage_event(const struct content *content, struct buf *out)
{
    event_begin(content, NULL, out);
    put_chunk_head(content, out);
    buf_add_char(out, ']');
    usage_put(content, content_tokens(content, content->events), out);
    buf_add_char(out, '}');
    event_end(content, out);
}

void content_event(const struct content *content, int64_t i, struct buf *out)
{
    int64_t comments = content->script->comments;
    if (comments && i % comments == 0) {
        buf_add_cstr(out, ": ping");
        event_end(content, out);
    }
    if (is_typed(content)) {
        typed_event(content, i, out);
        return;
    }
    event_begin(content, NULL, out);
    if (content->api == API_LLAMA)
        put_llama_chunk(content, i, out);
    else
        put_chunk(content, i, out);
    event_end(content, out);
}

void content_tail(const struct content *content, struct buf *out)
{
    if (is_typed(content)) {
        typed_tail(content, out);
        return;
    }
    if (content->script->finish)
        put_finish(content, out);
    if (usage_has_own_event(content))
        put_usage_event(content, out);
    if (content->script->done && content->api != API_LLAMA) {
        event_begin(content, NULL, out);
        buf_add_cstr(out, "[DONE]");
        event_end(content, out);
    }
}

/* ---- failures ---- */

static const char *error_text(const struct content *content)
{
    return content->script->error[0] ? content->script->error : "scripted";
}

static void put_error(const struct content *content, struct buf *out)
{
    if (content->api == API_MESSAGES)
        buf_printf(out,
                   "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                   "\"message\":\"%s\"}}",
                   error_text(content));
    else
        buf_printf(out, "{\"error\":{\"message\":\"%s\",\"type\":\"scripted_error\",\"param\":null,"
                   "\"code\":%" PRId64 "}}",
                   error_text(content), content->script->status);
}

void content_error_event(const struct content *content, struct buf *out)
{
    event_begin(content, is_typed(content) ? "error" : NULL, out);
    put_error(content, out);
    event_end(content, out);
}

void content_error(const struct content *content, struct buf *out)
{
    put_error(content, out);
}

/* ---- whole responses ---- */

static void put_whole_chat(const struct content *content, struct buf *out)
{
    bool is_chat = content->api == API_CHAT;
    buf_printf(out, "{\"id\":\"%s-%" PRIu64 "\",\"object\":\"%s\",\"created\":%" PRId64
               ",\"model\":\"%.*s\",\"choices\":[{\"index\":0,%s",
               is_chat ? "chatcmpl" : "cmpl", content->number,
               is_chat ? "chat.completion" : "text_completion", content->created,
               STR_ARGS(content->model),
               is_chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
    text_put_all(content, out);
    buf_printf(out, "\"%s,\"logprobs\":null,\"finish_reason\":", is_chat ? "}" : "");
    if (content->script->finish)
        buf_printf(out, "\"%s\"}]", finish_reason(content));
    else
        buf_add_cstr(out, "null}]");
}

static void put_whole_llama(const struct content *content, struct buf *out)
{
    buf_add_cstr(out, "{\"index\":0,\"content\":\"");
    text_put_all(content, out);
    buf_add_cstr(out, "\",\"stop\":true");
}

static const char *const fixed[] = {
    [API_COUNT_TOKENS] = "{\"input_tokens\":",
    [API_EMBEDDINGS] = "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
                       "\"embedding\":[0.25,-0.5,0.125]}]",
    [API_RERANK] = "{\"results\":[{\"index\":1,\"relevance_score\":0.9},"
                   "{\"index\":0,\"relevance_score\":0.1}]",
    [API_SCORE] = "{\"object\":\"list\",\"data\":[{\"index\":0,\"object\":\"score\","
                  "\"score\":0.5}]",
    [API_TOKENIZE] = "{\"tokens\":[1,2,3],\"count\":3",
    [API_MODERATIONS] = "{\"results\":[{\"flagged\":false}]",
    [API_IMAGES] = "{\"created\":1,\"data\":[{\"b64_json\":\"iVBORw0KGgo=\"}]",
    [API_TRANSCRIPTIONS] = "{\"text\":\"scripted\"",
};

static void put_fixed(const struct content *content, struct buf *out)
{
    buf_add_cstr(out, fixed[content->api]);
    if (content->api == API_COUNT_TOKENS)
        buf_printf(out, "%" PRId64, content->script->prompt);
    else if (content->api != API_TOKENIZE && content->api != API_MODERATIONS)
        usage_put(content, 0, out);
    buf_add_char(out, '}');
}

void content_whole(const struct content *content, struct buf *out)
{
    if (is_typed(content)) {
        typed_whole(content, out);
    } else if (content->api == API_CHAT || content->api == API_COMPLETIONS) {
        put_whole_chat(content, out);
        usage_put(content, content_tokens(content, content->events), out);
        buf_add_char(out, '}');
    } else if (content->api == API_LLAMA) {
        put_whole_llama(content, out);
        usage_put(content, content_tokens(content, content->events), out);
        buf_add_char(out, '}');
    } else {
        put_fixed(content, out);
    }
}
