/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_turn_priv.h"

/* A chat message has no flag for a failed tool; the text has to say so. */
static void mark_error(struct anthropic_content *text)
{
    struct buf marked = {0};
    buf_add_cstr(&marked, "Error: ");
    buf_add_str(&marked, buf_str(&text->text));
    buf_fini(&text->text);
    text->text = marked;
}

static int write_tool_result(const struct anthropic_walk *walk, struct json_writer *w,
                             struct anthropic_content *images, struct err *err)
{
    auto_fini(anthropic_content_fini) struct anthropic_content text;
    struct anthropic_place place = anthropic_member(&walk->at, "content");
    const struct anthropic_sink sink = {&text, images};
    struct str id;
    bool is_error;
    anthropic_content_start(&text);
    int rc = anthropic_take_string(walk->block, "tool_use_id", &walk->at, &id, err);
    if (rc == 0)
        rc = anthropic_take_flag(walk->block, "is_error", &walk->at, &is_error, err);
    if (rc == 0)
        rc = anthropic_add_blocks(json_object_get(walk->block, "content"), &place, &sink, err);
    if (rc < 0)
        return rc;
    if (is_error && !str_has_prefix(buf_str(&text.text), STR("Error")))
        mark_error(&text);
    json_begin_object(w);
    json_put_string(w, "role", "tool");
    json_add_key(w, "tool_call_id");
    json_add_string(w, id);
    json_add_key(w, "content");
    anthropic_content_write(&text, w);
    json_end_object(w);
    return 0;
}

/* Amid the conversation the system speaks through the user: templates allow it at the beginning
 * only. */
static int add_user_block(const struct anthropic_walk *walk, struct anthropic_content *content,
                          struct err *err)
{
    const struct anthropic_sink sink = {content, content};
    if (walk->is_system) {
        anthropic_content_add_text(content, STR("<system>"));
        int rc = anthropic_walk_add_system(walk, content, err);
        anthropic_content_add_text(content, STR("</system>"));
        return rc;
    }
    if (json_is_string(walk->block))
        return anthropic_add_blocks(walk->block, &walk->at, &sink, err);
    return anthropic_add_block(walk->block, &walk->at, &sink, err);
}

/* The results come first, as they must follow the calls; their images go to the user's message. */
int anthropic_write_user_turn(const struct anthropic_turn *turn, struct json_writer *w,
                              struct err *err)
{
    auto_fini(anthropic_content_fini) struct anthropic_content content;
    struct anthropic_walk walk;
    size_t results = 0;
    int rc;
    anthropic_content_start(&content);
    anthropic_walk_start(&walk, turn);
    while ((rc = anthropic_walk_next(&walk, err)) > 0) {
        if (!str_eq(walk.type, STR("tool_result")) || walk.is_system)
            continue;
        if ((rc = write_tool_result(&walk, w, &content, err)) < 0)
            return rc;
        results++;
    }
    anthropic_walk_start(&walk, turn);
    while (rc == 0 && (rc = anthropic_walk_next(&walk, err)) > 0)
        rc = str_eq(walk.type, STR("tool_result")) && !walk.is_system
                 ? 0
                 : add_user_block(&walk, &content, err);
    if (rc == 0 && (results == 0 || !anthropic_content_is_empty(&content)))
        anthropic_write_message(w, "user", &content);
    return rc;
}
