/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_response.h"

#include "gateway/anthropic_priv.h"

/* --- shared with streams ---------------------------------------------------------------------- */

bool anthropic_is_blank(struct str text)
{
    return str_trim(text).len == 0;
}

void anthropic_add_text_of(json_t *value, struct buf *out)
{
    json_t *part;
    size_t i;
    buf_add_str(out, anthropic_str(value));
    json_array_foreach(value, i, part)
        buf_add_str(out, anthropic_str(json_object_get(part, "text")));
}

json_t *anthropic_reasoning_of(const json_t *message)
{
    json_t *reasoning = json_object_get(message, "reasoning");
    return json_is_string(reasoning) ? reasoning : json_object_get(message, "reasoning_content");
}

void anthropic_put_call_id(struct json_writer *w, struct str id, const char *request_id,
                           size_t number)
{
    json_add_key(w, "id");
    if (id.len > 0) {
        json_add_string(w, id);
        return;
    }
    auto_free char *made = mem_printf("toolu_%s_%zu", request_id, number);
    json_add_cstring(w, made);
}

void anthropic_write_message_head(const struct anthropic_reply *about, struct json_writer *w)
{
    auto_free char *id = mem_printf("msg_%s", about->request_id);
    json_put_string(w, "id", id);
    json_put_string(w, "type", "message");
    json_put_string(w, "role", "assistant");
    json_put_string(w, "model", about->model);
}

/* --- content ---------------------------------------------------------------------------------- */

static void write_thinking(json_t *reasoning, struct json_writer *w)
{
    struct buf text = {0};
    anthropic_add_text_of(reasoning, &text);
    if (text.len > 0) {
        json_begin_object(w);
        json_put_string(w, "type", "thinking");
        json_add_key(w, "thinking");
        json_add_string(w, buf_str(&text));
        json_put_string(w, "signature", ANTHROPIC_SIGNATURE);
        json_end_object(w);
    }
    buf_fini(&text);
}

/* Some engines leave the line ends between reasoning and a call in the text. */
static void write_text(json_t *content, struct json_writer *w)
{
    struct buf text = {0};
    anthropic_add_text_of(content, &text);
    if (!anthropic_is_blank(buf_str(&text))) {
        json_begin_object(w);
        json_put_string(w, "type", "text");
        json_add_key(w, "text");
        json_add_string(w, buf_str(&text));
        json_end_object(w);
    }
    buf_fini(&text);
}

/*
 * Arguments are JSON in a string, as the model wrote it. What can't be read is handed on in a
 * member that no tool has, so that the tool refuses it and the model sees what it wrote.
 */
static void write_input(json_t *arguments, struct json_writer *w)
{
    auto_fini(json_release) json_t *parsed = NULL;
    struct str text = anthropic_str(arguments);
    json_add_key(w, "input");
    if (json_is_object(arguments)) {
        anthropic_add_value(w, arguments);
    } else if (anthropic_read(text, ANTHROPIC_RESPONSE_MAX, &parsed, NULL) == 0) {
        anthropic_add_value(w, parsed);
    } else {
        json_begin_object(w);
        if (!anthropic_is_blank(text)) {
            json_add_key(w, "unparsed_arguments");
            json_add_string(w, text);
        }
        json_end_object(w);
    }
}

static int write_call(const json_t *call, size_t number, const struct anthropic_reply *about,
                      struct json_writer *w, struct err *err)
{
    const json_t *function = json_object_get(call, "function");
    struct str name = anthropic_str(json_object_get(function, "name"));
    if (name.len == 0)
        return err_set(err, ERR_PROTOCOL, "the engine's tool call %zu has no name", number);
    json_begin_object(w);
    json_put_string(w, "type", "tool_use");
    anthropic_put_call_id(w, anthropic_str(json_object_get(call, "id")), about->request_id, number);
    json_add_key(w, "name");
    json_add_string(w, name);
    write_input(json_object_get(function, "arguments"), w);
    json_end_object(w);
    return 0;
}

static int write_content(const json_t *message, const struct anthropic_reply *about,
                         struct json_writer *w, struct err *err)
{
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    json_t *content = json_object_get(message, "content");
    size_t i;
    json_add_key(w, "content");
    json_begin_array(w);
    write_thinking(anthropic_reasoning_of(message), w);
    bool has_content = content && !json_is_null(content);
    write_text(has_content ? content : json_object_get(message, "refusal"), w);
    json_array_foreach(calls, i, call) {
        int rc = write_call(call, i, about, w, err);
        if (rc < 0)
            return rc;
    }
    json_end_array(w);
    return 0;
}

/* --- message ---------------------------------------------------------------------------------- */

static int find_choice(const json_t *chat, const json_t **ret, struct err *err)
{
    struct str fault;
    const json_t *choice = json_array_get(json_object_get(chat, "choices"), 0);
    if (anthropic_find_fault(chat, &fault))
        return err_set(err, ERR_PROTOCOL, "the engine answered with an error: %.*s",
                       (int)(fault.len < 400 ? fault.len : 400), fault.ptr);
    if (!json_is_object(json_object_get(choice, "message")))
        return err_set(err, ERR_PROTOCOL, "the engine's response has no choices[0].message");
    *ret = choice;
    return 0;
}

static int write_message(const json_t *chat, const struct anthropic_reply *about,
                         struct json_writer *w, struct err *err)
{
    struct anthropic_finish finish = {.stop_reason = "end_turn", .thinking_tokens = -1};
    const json_t *choice = NULL;
    int rc = find_choice(chat, &choice, err);
    if (rc < 0)
        return rc;
    const json_t *message = json_object_get(choice, "message");
    json_begin_object(w);
    anthropic_write_message_head(about, w);
    rc = write_content(message, about, w, err);
    if (rc < 0)
        return rc;
    anthropic_finish_take_choice(&finish, choice);
    anthropic_finish_take_usage(&finish, json_object_get(chat, "usage"));
    bool has_calls = json_array_size(json_object_get(message, "tool_calls")) > 0;
    anthropic_finish_write_stop(&finish, has_calls, w);
    anthropic_finish_write_usage(&finish, w);
    anthropic_finish_fini(&finish);
    json_end_object(w);
    return 0;
}

int anthropic_response_from_chat(struct str chat, const struct anthropic_reply *about,
                                 struct buf *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    auto_fini(buf_fini) struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    int rc = anthropic_read(chat, ANTHROPIC_RESPONSE_MAX, &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "the engine's response");
    rc = write_message(root, about, &w, err);
    if (rc < 0)
        return rc;
    *ret = out;
    out = (struct buf){0};
    return 0;
}

int anthropic_count_from_tokenize(struct str body, struct buf *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int64_t count;
    int rc = anthropic_read(body, ANTHROPIC_RESPONSE_MAX, &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "the engine's response");
    if (!json_take_integer(json_object_get(root, "count"), &count) || count < 0)
        return err_set(err, ERR_PROTOCOL, "the engine's response has no count of tokens");
    struct json_writer w = json_writer_into(ret);
    json_begin_object(&w);
    json_put_int(&w, "input_tokens", count);
    json_end_object(&w);
    return 0;
}
