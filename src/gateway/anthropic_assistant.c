/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_turn_priv.h"

/* A message of the assistant while it is collected. */
struct speech {
    struct anthropic_content text, reasoning;
    struct buf calls;          /* members of the array `tool_calls` */
    struct json_writer writer; /* into `calls` */
    size_t call_count;
};

static void speech_start(struct speech *speech)
{
    *speech = (struct speech){0};
    anthropic_content_start(&speech->text);
    anthropic_content_start(&speech->reasoning);
    speech->writer = json_writer_into(&speech->calls);
    json_begin_array(&speech->writer);
}

static void speech_fini(struct speech *speech)
{
    anthropic_content_fini(&speech->text);
    anthropic_content_fini(&speech->reasoning);
    buf_fini(&speech->calls);
}

static void write_call(struct json_writer *w, struct str id, struct str name, json_t *input)
{
    struct buf arguments = {0};
    struct json_writer inner = json_writer_into(&arguments);
    if (input)
        anthropic_add_value(&inner, input);
    else
        buf_add_cstr(&arguments, "{}");
    json_begin_object(w);
    json_add_key(w, "id");
    json_add_string(w, id);
    json_put_string(w, "type", "function");
    json_add_key(w, "function");
    json_begin_object(w);
    json_add_key(w, "name");
    json_add_string(w, name);
    json_add_key(w, "arguments");
    json_add_string(w, buf_str(&arguments));
    json_end_object(w);
    json_end_object(w);
    buf_fini(&arguments);
}

static int add_call(const struct anthropic_walk *walk, struct speech *speech, struct err *err)
{
    struct str id, name;
    json_t *input;
    int rc = anthropic_take_string(walk->block, "id", &walk->at, &id, err);
    if (rc == 0)
        rc = anthropic_take_string(walk->block, "name", &walk->at, &name, err);
    if (rc == 0)
        rc = anthropic_take_object(walk->block, "input", &walk->at, &input, err);
    if (rc < 0)
        return rc;
    write_call(&speech->writer, id, name, input);
    speech->call_count++;
    return 0;
}

static int add_block(const struct anthropic_walk *walk, struct speech *speech, struct err *err)
{
    struct str text;
    int rc;
    if (str_eq(walk->type, STR("redacted_thinking"))) /* readable for Anthropic only */
        return 0;
    if (str_eq(walk->type, STR("tool_use")))
        return add_call(walk, speech, err);
    if (str_eq(walk->type, STR("text"))) {
        rc = anthropic_walk_text(walk, &text, err);
        if (rc == 0)
            anthropic_content_add_text(&speech->text, text);
        return rc;
    }
    if (!str_eq(walk->type, STR("thinking")))
        return anthropic_fail_member(&walk->at, "type", err,
                                     "'%.64s' can't be given to this engine as the assistant's; "
                                     "allowed: text, thinking, redacted_thinking, tool_use",
                                     walk->type.ptr);
    rc = anthropic_take_string(walk->block, "thinking", &walk->at, &text, err);
    if (rc == 0)
        anthropic_content_add_text(&speech->reasoning, text);
    return rc;
}

/* vLLM reads past reasoning under the first name only, llama.cpp and SGLang under the second. */
static void write_speech(struct speech *speech, struct json_writer *w)
{
    static const char *const names[] = {"reasoning", "reasoning_content"};
    json_begin_object(w);
    json_put_string(w, "role", "assistant");
    json_add_key(w, "content");
    anthropic_content_write(&speech->text, w);
    for (size_t i = 0; i < ARRAY_LEN(names) && !anthropic_content_is_empty(&speech->reasoning);
         i++) {
        json_add_key(w, names[i]);
        anthropic_content_write(&speech->reasoning, w);
    }
    json_end_array(&speech->writer);
    if (speech->call_count > 0) {
        json_add_key(w, "tool_calls");
        json_add_raw(w, buf_str(&speech->calls));
    }
    json_end_object(w);
}

int anthropic_write_assistant_turn(const struct anthropic_turn *turn, struct json_writer *w,
                                   bool *ret_is_open, struct err *err)
{
    auto_fini(speech_fini) struct speech speech;
    struct anthropic_walk walk;
    int rc;
    speech_start(&speech);
    anthropic_walk_start(&walk, turn);
    while ((rc = anthropic_walk_next(&walk, err)) > 0)
        if ((rc = add_block(&walk, &speech, err)) < 0)
            return rc;
    if (rc < 0)
        return rc;
    bool has_text = !anthropic_content_is_empty(&speech.text);
    *ret_is_open = has_text && speech.call_count == 0;
    if (has_text || speech.call_count > 0 || !anthropic_content_is_empty(&speech.reasoning))
        write_speech(&speech, w);
    return 0;
}
