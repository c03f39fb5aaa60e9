/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/engine/content_priv.h"

#include <inttypes.h>

static void put_openai(const struct script *script, int64_t completion, struct buf *out)
{
    buf_printf(out,
               "{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
               ",\"completion_tokens\":%" PRId64,
               script->prompt, script->prompt + completion, completion);
    if (script->cached || script->usage == USAGE_VLLM)
        buf_printf(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRId64 "}",
                   script->cached);
    buf_add_char(out, '}');
}

/* What embeddings and the like consume is all prompt. */
static void put_prompt_only(const struct script *script, struct buf *out)
{
    buf_printf(out, "{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}", script->prompt,
               script->prompt);
}

static void put_timings(const struct script *script, int64_t completion, struct buf *out)
{
    buf_printf(out,
               ",\"timings\":{\"cache_n\":%" PRId64 ",\"prompt_n\":%" PRId64
               ",\"prompt_ms\":1.5,\"predicted_n\":%" PRId64 ",\"predicted_ms\":20.25}",
               script->cached, script->prompt - script->cached, completion);
}

static void put_llama_native(const struct script *script, int64_t completion, struct buf *out)
{
    buf_printf(out, ",\"tokens_predicted\":%" PRId64 ",\"tokens_evaluated\":%" PRId64, completion,
               script->prompt);
    put_timings(script, completion, out);
}

static void put_cohere(const struct content *content, int64_t completion, struct buf *out)
{
    buf_printf(out, ",\"meta\":{\"billed_units\":{\"input_tokens\":%" PRId64,
               content->script->prompt);
    if (content->api == API_RERANK)
        buf_add_cstr(out, ",\"search_units\":1}}");
    else
        buf_printf(out, ",\"output_tokens\":%" PRId64 "}}", completion);
}

static bool makes_tokens(enum api api)
{
    return api == API_CHAT || api == API_COMPLETIONS || api == API_LLAMA || api == API_RESPONSES ||
           api == API_MESSAGES;
}

static void put_object(const struct content *content, int64_t completion, struct buf *out)
{
    buf_add_cstr(out, ",\"usage\":");
    if (content->script->usage == USAGE_TOTAL)
        buf_printf(out, "{\"total_tokens\":%" PRId64 "}", content->script->prompt + completion);
    else if (content->script->usage == USAGE_TEI || !makes_tokens(content->api))
        put_prompt_only(content->script, out);
    else
        put_openai(content->script, completion, out);
}

void usage_put(const struct content *content, int64_t completion, struct buf *out)
{
    const struct script *script = content->script;
    if (script->usage == USAGE_NONE || (script->usage == USAGE_TEI && content->api == API_RERANK))
        return;
    if (content->api == API_LLAMA) {
        put_llama_native(script, completion, out);
        return;
    }
    if (script->usage == USAGE_COHERE) {
        put_cohere(content, completion, out);
        return;
    }
    put_object(content, completion, out);
    if (script->usage == USAGE_LLAMA)
        put_timings(script, completion, out);
}

void usage_put_event(const struct content *content, int64_t completion, bool is_finish,
                     struct buf *out)
{
    enum usage_shape shape = (enum usage_shape)content->script->usage;
    if (content->api == API_LLAMA && is_finish)
        usage_put(content, completion, out);
    else if (shape == USAGE_EACH || (shape == USAGE_FINISH && is_finish))
        put_object(content, completion, out);
    else if (shape == USAGE_LLAMA && is_finish)
        put_timings(content->script, completion, out);
    else if (shape == USAGE_NULL)
        buf_add_cstr(out, ",\"usage\":null");
}

bool usage_has_own_event(const struct content *content)
{
    enum usage_shape shape = (enum usage_shape)content->script->usage;
    if (content->api == API_LLAMA || shape == USAGE_NONE || shape == USAGE_FINISH)
        return false;
    return shape == USAGE_ALWAYS || shape == USAGE_EACH || content->wants_usage;
}

void usage_put_input_output(const struct content *content, int64_t completion, struct buf *out)
{
    const struct script *script = content->script;
    if (content->api == API_MESSAGES) {
        buf_printf(out, "\"input_tokens\":%" PRId64 ",", script->prompt - script->cached);
        buf_printf(out, "\"cache_read_input_tokens\":%" PRId64 ",", script->cached);
    } else {
        buf_printf(out, "\"input_tokens\":%" PRId64 ",", script->prompt);
        buf_printf(out, "\"input_tokens_details\":{\"cached_tokens\":%" PRId64 "},",
                   script->cached);
        buf_printf(out, "\"total_tokens\":%" PRId64 ",", script->prompt + completion);
    }
    buf_printf(out, "\"output_tokens\":%" PRId64, completion);
}
