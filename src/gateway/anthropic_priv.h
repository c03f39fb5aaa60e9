/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Messages translation share: reading JSON with limits and errors that name
 * the place, a chat message's content while it is collected, the parts of a request, and how a
 * response ended. Pure, any thread; each object belongs to one translation.
 */
#pragma once

#include "base/json.h"

#include <stdint.h>

enum {
    ANTHROPIC_DEPTH_MAX = 48,        /* nested arrays and objects of what is read */
    ANTHROPIC_VALUES_MAX = 1000000,  /* of what is read: about 150 bytes of memory each */
    ANTHROPIC_MESSAGES_MAX = 100000, /* of a request, as in Anthropic's service */
};

/* A place in a document, for errors. Lives on the stack of who walks there. */
struct anthropic_place {
    const struct anthropic_place *up; /* NULL: the top level */
    const char *member;               /* name within `up`; NULL: an item of an array */
    size_t index;                     /* of the item */
};

static inline struct anthropic_place anthropic_member(const struct anthropic_place *up,
                                                      const char *name)
{
    return (struct anthropic_place){.up = up, .member = name};
}

static inline struct anthropic_place anthropic_item(const struct anthropic_place *up, size_t index)
{
    return (struct anthropic_place){.up = up, .index = index};
}

/* ERR_INVALID with "messages[2].content[0].type: " before the text. */
int anthropic_fail(const struct anthropic_place *at, struct err *err, const char *fmt, ...)
    printf_like(3, 4);

/* The same for the member `name` within `at` (NULL: the top level). */
int anthropic_fail_member(const struct anthropic_place *at, const char *name, struct err *err,
                          const char *fmt, ...) printf_like(4, 5);

/*
 * Parses an object of at most `max` bytes. Too many values: ERR_TOO_LARGE as well. Duplicate keys
 * and invalid UTF-8: ERR_SYNTAX. Deep nesting: ERR_INVALID. NUL characters in strings are kept, so
 * lengths count.
 */
int anthropic_read(struct str text, size_t max, json_t **ret, struct err *err) must_check;

/* What kind of value an error has seen: "a string", "null", "nothing". */
const char *anthropic_kind(const json_t *value);

/* The characters of a string value (borrowed); empty for anything else. */
struct str anthropic_str(const json_t *value);

/* A string member; absent or of another type is an error. */
int anthropic_take_string(const json_t *object, const char *name, const struct anthropic_place *at,
                          struct str *ret, struct err *err) must_check;

/* A string member that may be absent or null: then `*ret` is empty. */
int anthropic_take_text(const json_t *object, const char *name, const struct anthropic_place *at,
                        struct str *ret, struct err *err) must_check;

/* A flag that may be absent or null: then it is false. */
int anthropic_take_flag(const json_t *object, const char *name, const struct anthropic_place *at,
                        bool *ret, struct err *err) must_check;

/* An object member that may be absent or null: then `*ret` is NULL. Borrows. */
int anthropic_take_object(const json_t *object, const char *name, const struct anthropic_place *at,
                          json_t **ret, struct err *err) must_check;

/* An array member that may be absent or null: then `*ret` is NULL. Borrows. */
int anthropic_take_array(const json_t *object, const char *name, const struct anthropic_place *at,
                         json_t **ret, struct err *err) must_check;

/* A tree that anthropic_read() took, as it came: order of keys, shortest form of numbers. */
void anthropic_add_value(struct json_writer *w, json_t *value);

/* --- request ---------------------------------------------------------------------------------- */

/*
 * The content of a chat message while it is collected: one string as long as there is no image,
 * which every engine understands, else an array of parts. Must not move after its start.
 */
struct anthropic_content {
    struct buf text;           /* since the last image; pieces one below the other */
    struct buf parts;          /* what stands before */
    struct json_writer writer; /* into `parts` */
    unsigned images;
};

/* Starts an empty content in zeroed or finished memory. */
void anthropic_content_start(struct anthropic_content *content);
void anthropic_content_fini(struct anthropic_content *content);

/* Appends a text on a line of its own. An empty one adds nothing. */
void anthropic_content_add_text(struct anthropic_content *content, struct str text);

/* Appends an image by its URL, which may be a data URL. */
void anthropic_content_add_image(struct anthropic_content *content, struct str url);

/* Whether anything was added. */
bool anthropic_content_is_empty(const struct anthropic_content *content);

/* Writes the string or array as the value that `w` expects; nothing can be added afterwards. */
void anthropic_content_write(struct anthropic_content *content, struct json_writer *w);

/* Where blocks go. A tool's message can't hold images: `images` is the user's message then, and the
 * texts tell which image was meant. */
struct anthropic_sink {
    struct anthropic_content *texts;
    struct anthropic_content *images; /* the same as `texts` where images may stand */
};

/* Adds one block: text, image, document, search_result or tool_reference. */
int anthropic_add_block(json_t *block, const struct anthropic_place *at,
                        const struct anthropic_sink *to, struct err *err) must_check;

/* Adds a string or an array of blocks; NULL and null add nothing. */
int anthropic_add_blocks(json_t *content, const struct anthropic_place *at,
                         const struct anthropic_sink *to, struct err *err) must_check;

/* Writes the member `messages` from `system` and `messages` of a request, and the flags that
 * let the engine continue a last message of the assistant. */
int anthropic_write_messages(const json_t *request, struct json_writer *w,
                             struct err *err) must_check;

/* Writes the member `tools`, if there are any. */
int anthropic_write_tools(const json_t *request, struct json_writer *w, struct err *err) must_check;

/* Writes `tool_choice` and `parallel_tool_calls`, if the request says something about them. */
int anthropic_write_tool_choice(const json_t *request, struct json_writer *w,
                                struct err *err) must_check;

/* Writes `chat_template_kwargs` and `reasoning_effort` from `thinking` and `output_config`. */
int anthropic_write_thinking(const json_t *request, struct json_writer *w,
                             struct err *err) must_check;

/* --- response --------------------------------------------------------------------------------- */

/* How a response ended and what it consumed, as far as the engine has told. */
struct anthropic_finish {
    const char *stop_reason; /* Anthropic's word; NULL: not ended */
    char *stop_sequence;     /* owned; NULL: none, or the engine doesn't tell */
    int64_t input_tokens;    /* without the cached ones */
    int64_t cached_tokens;
    int64_t output_tokens;
    int64_t thinking_tokens; /* part of the output's; -1: the engine doesn't tell */
};

void anthropic_finish_fini(struct anthropic_finish *finish);

/* Takes over `finish_reason` of a choice, if it has one. */
void anthropic_finish_take_choice(struct anthropic_finish *finish, const json_t *choice);

/* Takes over a `usage` object; anything else changes nothing. */
void anthropic_finish_take_usage(struct anthropic_finish *finish, const json_t *usage);

/* Writes the members `stop_reason` and `stop_sequence`. */
void anthropic_finish_write_stop(const struct anthropic_finish *finish, bool has_calls,
                                 struct json_writer *w);

/* Writes the member `usage`. */
void anthropic_finish_write_usage(const struct anthropic_finish *finish, struct json_writer *w);

/* Appends a text that is a string or an array of text parts. */
void anthropic_add_text_of(json_t *value, struct buf *out);

/* A delta's or message's reasoning under either name that engines use; NULL: none. */
json_t *anthropic_reasoning_of(const json_t *message);

/* Whether there is nothing but white space. */
bool anthropic_is_blank(struct str text);

/* Writes a call's id, or one made of the request's id and `number` where the engine gave none. */
void anthropic_put_call_id(struct json_writer *w, struct str id, const char *request_id,
                           size_t number);

/* Writes the members `id`, `type`, `role` and `model` of a message. */
struct anthropic_reply;
void anthropic_write_message_head(const struct anthropic_reply *about, struct json_writer *w);

/* What an error body of an engine says, in any of their shapes; false: it is none. */
bool anthropic_find_fault(const json_t *body, struct str *ret_message);

/* Anthropic's type for an error object that came within a stream or a 200 response. */
const char *anthropic_fault_type(const json_t *body);
