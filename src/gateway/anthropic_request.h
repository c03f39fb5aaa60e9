/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of Anthropic's Messages API as a chat completion, for engines that speak OpenAI only.
 * What each member becomes stands in doc/internals/anthropic.md. Pure, any thread: a body of 2 MB
 * takes some 30 ms, so that long ones belong into the pool, not on a loop.
 *
 *     struct buf chat = {0};
 *     if (anthropic_request_to_chat(body, "served-name", &chat, &err) < 0)
 *         reply(400, err.text);              // "messages[2].content[0].source.type: ..."
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum { ANTHROPIC_REQUEST_MAX = 32 << 20 }; /* bytes of a request, as in Anthropic's service */

/*
 * Translates the whole body of POST /v1/messages. `model` is the name under which the engine knows
 * the model. `*ret` must be empty and gets the body of POST /v1/chat/completions (owned).
 * ERR_SYNTAX, ERR_INVALID with the member's place, or ERR_TOO_LARGE.
 */
int anthropic_request_to_chat(struct str body, const char *model, struct buf *ret,
                              struct err *err) must_check;

/*
 * Translates the whole body of POST /v1/messages/count_tokens into that of vLLM's POST /tokenize.
 * Same errors; `*ret` as above.
 */
int anthropic_count_to_tokenize(struct str body, const char *model, struct buf *ret,
                                struct err *err) must_check;
