/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_priv.h"

static const struct {
    const char *chat, *anthropic;
} reasons[] = {
    {"stop", "end_turn"},           {"length", "max_tokens"},
    {"tool_calls", "tool_use"},     {"function_call", "tool_use"},
    {"content_filter", "refusal"},
};

void anthropic_finish_fini(struct anthropic_finish *finish)
{
    free(finish->stop_sequence);
    finish->stop_sequence = NULL;
}

/* vLLM and SGLang tell the sequence; a number in its place is the token that ends a turn. */
static void take_sequence(struct anthropic_finish *finish, const json_t *choice)
{
    static const char *const names[] = {"stop_reason", "matched_stop"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct str sequence = anthropic_str(json_object_get(choice, names[i]));
        if (sequence.len == 0)
            continue;
        free(finish->stop_sequence);
        finish->stop_sequence = str_dup(sequence);
        finish->stop_reason = "stop_sequence";
        return;
    }
}

void anthropic_finish_take_choice(struct anthropic_finish *finish, const json_t *choice)
{
    struct str reason = anthropic_str(json_object_get(choice, "finish_reason"));
    if (reason.len == 0)
        return;
    finish->stop_reason = "end_turn"; /* also for words of one engine only */
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (str_eq(reason, str_of(reasons[i].chat)))
            finish->stop_reason = reasons[i].anthropic;
    if (str_eq(reason, STR("stop")))
        take_sequence(finish, choice);
}

/* --- usage ------------------------------------------------------------------------------------ */

static int64_t count_of(const json_t *object, const char *name, int64_t fallback)
{
    int64_t count = json_member_int(object, name, fallback);
    return count < 0 ? fallback : count;
}

void anthropic_finish_take_usage(struct anthropic_finish *finish, const json_t *usage)
{
    if (!json_is_object(usage))
        return;
    const json_t *prompt = json_object_get(usage, "prompt_tokens_details");
    const json_t *completion = json_object_get(usage, "completion_tokens_details");
    int64_t total = count_of(usage, "prompt_tokens", 0);
    int64_t cached = count_of(prompt, "cached_tokens", 0);
    finish->cached_tokens = cached < total ? cached : total;
    finish->input_tokens = total - finish->cached_tokens;
    finish->output_tokens = count_of(usage, "completion_tokens", 0);
    finish->thinking_tokens = count_of(completion, "reasoning_tokens", -1);
}

void anthropic_finish_write_usage(const struct anthropic_finish *finish, struct json_writer *w)
{
    json_add_key(w, "usage");
    json_begin_object(w);
    json_put_int(w, "input_tokens", finish->input_tokens);
    json_put_int(w, "cache_creation_input_tokens", 0);
    json_put_int(w, "cache_read_input_tokens", finish->cached_tokens);
    json_put_int(w, "output_tokens", finish->output_tokens);
    if (finish->thinking_tokens >= 0) {
        json_add_key(w, "output_tokens_details");
        json_begin_object(w);
        json_put_int(w, "thinking_tokens", finish->thinking_tokens);
        json_end_object(w);
    }
    json_end_object(w);
}

/* Engines say "stop" after a call that was demanded by name. */
void anthropic_finish_write_stop(const struct anthropic_finish *finish, bool has_calls,
                                 struct json_writer *w)
{
    const char *reason = finish->stop_reason;
    if (has_calls && reason && strcmp(reason, "end_turn") == 0)
        reason = "tool_use";
    json_put_string(w, "stop_reason", reason);
    json_put_string(w, "stop_sequence", finish->stop_sequence);
}
