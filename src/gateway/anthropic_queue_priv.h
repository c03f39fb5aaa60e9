/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content blocks of a streamed Message. Anthropic's clients expect one block after the other,
 * each with start, deltas and stop, while an engine may mix the pieces of several tool calls. So
 * only the oldest block that isn't complete is written as it grows, and what belongs to later ones
 * is held until their turn comes. A text is complete when something else begins; a call when
 * its arguments are a whole JSON object, or at the end. Pure; belongs to one stream.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

enum {
    ANTHROPIC_BLOCKS_MAX = 1024,    /* of one message */
    ANTHROPIC_HELD_MAX = 16 << 20,  /* bytes that wait for their turn */
    ANTHROPIC_CALL_NAME_MAX = 1024, /* bytes of a tool's name or a call's id */
};

enum anthropic_block_kind { ANTHROPIC_TEXT, ANTHROPIC_THINKING, ANTHROPIC_CALL };

struct anthropic_block;

struct anthropic_queue {
    const char *request_id;         /* for the ids of calls that have none; borrowed */
    struct anthropic_block *blocks; /* owned; all of the message, oldest first */
    size_t count, room;
    size_t head;    /* the block that is written; those before are complete */
    size_t started; /* blocks that were begun: the next one's index */
    size_t held;    /* bytes in all blocks */
    bool has_calls; /* a call was begun */
};

void anthropic_queue_fini(struct anthropic_queue *queue);

/* Adds text or thinking: a string or an array of parts; anything else adds nothing. */
int anthropic_queue_add_text(struct anthropic_queue *queue, enum anthropic_block_kind kind,
                             json_t *text, struct err *err) must_check;

/* Adds a piece of a tool call, a member of `delta.tool_calls`. */
int anthropic_queue_add_call(struct anthropic_queue *queue, json_t *piece,
                             struct err *err) must_check;

/* Appends the events that are due; `at_end`: nothing more is added, so all of them. */
int anthropic_queue_write(struct anthropic_queue *queue, bool at_end, struct buf *out,
                          struct err *err) must_check;
