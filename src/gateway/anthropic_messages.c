/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_turn_priv.h"

/*
 * Claude Code puts a line for Anthropic's accounting in front of its instructions. It differs from
 * request to request and would make the engine compute the whole prompt again each time.
 */
static bool is_accounting(const json_t *block)
{
    return str_has_prefix(anthropic_str(json_object_get(block, "text")),
                          STR("x-anthropic-billing-header:"));
}

static int add_system(json_t *system, struct anthropic_content *content, struct err *err)
{
    struct anthropic_place at = anthropic_member(NULL, "system");
    const struct anthropic_sink sink = {content, content};
    json_t *block;
    size_t i;
    if (!json_is_array(system))
        return anthropic_add_blocks(system, &at, &sink, err);
    json_array_foreach(system, i, block) {
        struct anthropic_place place = anthropic_item(&at, i);
        struct str type = anthropic_str(json_object_get(block, "type"));
        if (json_is_object(block) && type.len > 0 && !str_eq(type, STR("text")))
            return anthropic_fail_member(&place, "type", err, "must be text, not '%.64s'",
                                         type.ptr);
        int rc = is_accounting(block) ? 0 : anthropic_add_block(block, &place, &sink, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The one system message, of `system` and the messages of the system at the beginning. */
static int write_system(json_t *system, const struct anthropic_turn *leading, struct json_writer *w,
                        struct err *err)
{
    auto_fini(anthropic_content_fini) struct anthropic_content content;
    struct anthropic_walk walk;
    anthropic_content_start(&content);
    int rc = add_system(system, &content, err);
    anthropic_walk_start(&walk, leading);
    while (rc == 0 && (rc = anthropic_walk_next(&walk, err)) > 0)
        rc = anthropic_walk_add_system(&walk, &content, err);
    if (rc == 0 && !anthropic_content_is_empty(&content))
        anthropic_write_message(w, "system", &content);
    return rc;
}

/* --- conversation ----------------------------------------------------------------------------- */

static bool has_role(json_t *messages, size_t index, const char *role)
{
    const json_t *message = json_array_get(messages, index);
    return str_eq(anthropic_str(json_object_get(message, "role")), str_of(role));
}

static int check_message(json_t *messages, size_t index, struct err *err)
{
    struct anthropic_place place = anthropic_member(NULL, "messages");
    struct anthropic_place at = anthropic_item(&place, index);
    const json_t *message = json_array_get(messages, index);
    struct str role;
    if (!json_is_object(message))
        return anthropic_fail(&at, err, "must be an object, not %s", anthropic_kind(message));
    int rc = anthropic_take_string(message, "role", &at, &role, err);
    if (rc < 0)
        return rc;
    if (!str_eq(role, STR("user")) && !str_eq(role, STR("assistant")) &&
        !str_eq(role, STR("system")))
        return anthropic_fail_member(&at, "role", err,
                                     "must be user, assistant or system, not '%.64s'", role.ptr);
    return 0;
}

static int check_messages(json_t *messages, struct err *err)
{
    size_t count = json_array_size(messages);
    if (count == 0)
        return anthropic_fail_member(NULL, "messages", err, "at least one message is needed");
    if (count > ANTHROPIC_MESSAGES_MAX)
        return anthropic_fail_member(NULL, "messages", err, "%zu messages are more than %d", count,
                                     ANTHROPIC_MESSAGES_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = check_message(messages, i, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Whether a message goes on with a turn of that side. */
static bool is_part_of(json_t *messages, size_t index, bool is_assistant)
{
    return has_role(messages, index, "assistant") == is_assistant ||
           anthropic_is_silent(json_array_get(messages, index));
}

static int write_turns(json_t *messages, size_t first, struct json_writer *w, bool *ret_is_open,
                       struct err *err)
{
    int rc = 0;
    struct anthropic_turn turn = {messages, first, first};
    *ret_is_open = false;
    for (size_t count = json_array_size(messages); rc == 0 && turn.first < count;
         turn.first = turn.end) {
        bool is_assistant = has_role(messages, turn.first, "assistant");
        while (turn.end < count && is_part_of(messages, turn.end, is_assistant))
            turn.end++;
        *ret_is_open = false;
        rc = is_assistant ? anthropic_write_assistant_turn(&turn, w, ret_is_open, err)
                          : anthropic_write_user_turn(&turn, w, err);
    }
    return rc;
}

int anthropic_write_messages(const json_t *request, struct json_writer *w, struct err *err)
{
    json_t *messages;
    bool is_open;
    int rc = anthropic_take_array(request, "messages", NULL, &messages, err);
    if (rc == 0)
        rc = check_messages(messages, err);
    if (rc < 0)
        return rc;
    struct anthropic_turn leading = {messages, 0, 0};
    while (has_role(messages, leading.end, "system"))
        leading.end++;
    json_add_key(w, "messages");
    json_begin_array(w);
    rc = write_system(json_object_get(request, "system"), &leading, w, err);
    if (rc == 0)
        rc = write_turns(messages, leading.end, w, &is_open, err);
    if (rc < 0)
        return rc;
    json_end_array(w);
    if (is_open) {
        json_put_bool(w, "add_generation_prompt", false);
        json_put_bool(w, "continue_final_message", true);
    }
    return 0;
}
