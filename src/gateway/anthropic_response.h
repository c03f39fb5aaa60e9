/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine's chat completion as a Message of Anthropic's API: the whole response of a request that
 * anthropic_request.h translated. Streams: anthropic_stream.h. Pure, any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum { ANTHROPIC_RESPONSE_MAX = 32 << 20 }; /* bytes of an engine's response */

/* What a thinking block is signed with: engines sign nothing, but clients keep only thoughts that
 * have a signature. Base64 of the project's name; nobody checks it. */
#define ANTHROPIC_SIGNATURE "Z3B1c3RhY2s="

/* What the response has to say about the request. */
struct anthropic_reply {
    const char *model;      /* as the client wrote it; borrowed */
    const char *request_id; /* the message's id is "msg_" and this; borrowed */
};

/*
 * Translates the whole body of a 200 response. `*ret` must be empty and gets the Message (owned).
 * ERR_SYNTAX, ERR_TOO_LARGE, or ERR_PROTOCOL when it is no chat completion or an error.
 */
int anthropic_response_from_chat(struct str chat, const struct anthropic_reply *about,
                                 struct buf *ret, struct err *err) must_check;

/* The same for {"count":N}, the reply to what anthropic_count_to_tokenize() made. */
int anthropic_count_from_tokenize(struct str body, struct buf *ret, struct err *err) must_check;
