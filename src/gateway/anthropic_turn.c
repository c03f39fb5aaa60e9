/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/anthropic_turn_priv.h"

void anthropic_walk_start(struct anthropic_walk *walk, const struct anthropic_turn *turn)
{
    *walk = (struct anthropic_walk){.turn = turn, .message = turn->first};
    walk->messages = anthropic_member(NULL, "messages");
}

static bool is_silent_block(const json_t *block)
{
    struct str type = anthropic_str(json_object_get(block, "type"));
    const json_t *said = json_object_get(block, type.ptr ? type.ptr : "");
    if (str_eq(type, STR("redacted_thinking"))) /* readable for Anthropic only */
        return true;
    return (str_eq(type, STR("text")) || str_eq(type, STR("thinking"))) && json_is_string(said) &&
           json_string_length(said) == 0;
}

bool anthropic_is_silent(const json_t *message)
{
    json_t *content = json_object_get(message, "content"), *block;
    size_t i;
    if (!str_eq(anthropic_str(json_object_get(message, "role")), STR("assistant")))
        return false;
    if (!json_is_array(content))
        return json_is_string(content) && json_string_length(content) == 0;
    json_array_foreach(content, i, block)
        if (!is_silent_block(block))
            return false;
    return true;
}

static int take_block(struct anthropic_walk *walk, struct err *err)
{
    if (json_is_string(walk->block)) {
        walk->at = walk->content;
        walk->type = STR("text");
        return 1;
    }
    walk->at = anthropic_item(&walk->content, walk->item - 1);
    if (!json_is_object(walk->block))
        return anthropic_fail(&walk->at, err, "must be an object, not %s",
                              anthropic_kind(walk->block));
    int rc = anthropic_take_string(walk->block, "type", &walk->at, &walk->type, err);
    return rc < 0 ? rc : 1;
}

int anthropic_walk_next(struct anthropic_walk *walk, struct err *err)
{
    for (; walk->message < walk->turn->end; walk->message++, walk->item = 0) {
        const json_t *message = json_array_get(walk->turn->messages, walk->message);
        json_t *content = json_object_get(message, "content");
        if (anthropic_is_silent(message))
            continue;
        walk->owner = anthropic_item(&walk->messages, walk->message);
        walk->content = anthropic_member(&walk->owner, "content");
        walk->is_system = str_eq(anthropic_str(json_object_get(message, "role")), STR("system"));
        if (!json_is_string(content) && !json_is_array(content))
            return anthropic_fail(&walk->content, err, "must be a string or an array, not %s",
                                  anthropic_kind(content));
        if (walk->item < (json_is_string(content) ? 1 : json_array_size(content))) {
            walk->block = json_is_string(content) ? content : json_array_get(content, walk->item);
            walk->item++;
            return take_block(walk, err);
        }
    }
    return 0;
}

int anthropic_walk_text(const struct anthropic_walk *walk, struct str *ret, struct err *err)
{
    *ret = anthropic_str(walk->block);
    return json_is_string(walk->block)
               ? 0
               : anthropic_take_string(walk->block, "text", &walk->at, ret, err);
}

int anthropic_walk_add_system(const struct anthropic_walk *walk, struct anthropic_content *content,
                              struct err *err)
{
    struct str text;
    if (!str_eq(walk->type, STR("text")))
        return anthropic_fail_member(&walk->at, "type", err,
                                     "must be text in a system message, not '%.64s'",
                                     walk->type.ptr);
    int rc = anthropic_walk_text(walk, &text, err);
    if (rc == 0)
        anthropic_content_add_text(content, text);
    return rc;
}

void anthropic_write_message(struct json_writer *w, const char *role,
                             struct anthropic_content *content)
{
    json_begin_object(w);
    json_put_string(w, "role", role);
    json_add_key(w, "content");
    anthropic_content_write(content, w);
    json_end_object(w);
}
