/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A turn of a conversation: what stands in a row from one side, as Anthropic's service sees it.
 * Many chat templates insist on alternation. A turn of the user gives one chat message per tool
 * result and then one of the user's; a turn of the assistant gives one message. Pure.
 *
 *     struct anthropic_walk walk;
 *     anthropic_walk_start(&walk, &turn);
 *     while ((rc = anthropic_walk_next(&walk, err)) > 0)
 *         use(walk.block, walk.type);
 */
#pragma once

#include "gateway/anthropic_priv.h"

struct anthropic_turn {
    json_t *messages;  /* the request's; borrowed */
    size_t first, end; /* indices of its messages */
};

/* A step through the blocks of a turn; a content that is a string counts as one block. Must not
 * move after its start. */
struct anthropic_walk {
    const struct anthropic_turn *turn;
    size_t message, item; /* what comes next */
    json_t *block;        /* the present one: a string or an object */
    struct str type;      /* its type */
    bool is_system;       /* it belongs to a message of the system */
    struct anthropic_place messages, owner, content, at; /* where it stands; each points to the
                                                            one before */
};

/* Whether a message is the assistant's and says nothing that an engine could read: it counts as not
 * there. Templates that insist on alternation refuse an empty one as well as two turns of the user,
 * so the turns around it are one. */
bool anthropic_is_silent(const json_t *message);

/* Begins in front of the first block. */
void anthropic_walk_start(struct anthropic_walk *walk, const struct anthropic_turn *turn);

/* 1: `walk` has the next block; 0: the turn is over; negative: a content or block is none. */
int anthropic_walk_next(struct anthropic_walk *walk, struct err *err) must_check;

/* The text of a block of type text. */
int anthropic_walk_text(const struct anthropic_walk *walk, struct str *ret,
                        struct err *err) must_check;

/* Adds a block of a message of the system, which must be a text. */
int anthropic_walk_add_system(const struct anthropic_walk *walk, struct anthropic_content *content,
                              struct err *err) must_check;

/* Writes {"role":...,"content":...}. */
void anthropic_write_message(struct json_writer *w, const char *role,
                             struct anthropic_content *content);

/* Writes the messages of a turn of the user, in which the system may speak too. */
int anthropic_write_user_turn(const struct anthropic_turn *turn, struct json_writer *w,
                              struct err *err) must_check;

/* Writes the message of a turn of the assistant. `*ret_is_open`: it has a text and no calls, so as
 * the last one it may be continued. */
int anthropic_write_assistant_turn(const struct anthropic_turn *turn, struct json_writer *w,
                                   bool *ret_is_open, struct err *err) must_check;
