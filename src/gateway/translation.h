/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of Anthropic's Messages API on its way to an engine that doesn't speak it: as a chat
 * completion there, as a Message or its events back (count_tokens: as vLLM's tokenize). Holds the
 * translated request, and the response as far as it has to be kept whole. One thread at a time: a
 * long request is read on a pool's thread.
 *
 *     struct translation *t = translation_new(operation, "claude", &id);
 *     if (translation_read(t, body, &err) == 0)
 *         ask(translation_path(t), translation_body(t, "served-name"));  // of each instance
 *     ... the response: translation_keep() and _finish(), or translation_feed() and _end() ...
 *     translation_free(t);
 */
#pragma once

#include "gateway/record.h"
#include "gateway/request_id.h"
#include "gateway/sse.h"

#include "base/buf.h"
#include "base/err.h"
#include "http/client.h"

enum { TRANSLATION_RESPONSE_MAX = 32 << 20 }; /* bytes of a response that is kept whole */

struct translation;

/* `name` is the model as the client wrote it. Copies what it is given. Returns owned. */
struct translation *translation_new(enum operation operation, const char *name,
                                    const struct request_id *id) __attribute__((returns_nonnull));
void translation_free(struct translation *translation);

/*
 * Translates the client's body (borrowed for the call); once. The text of an error is for the
 * client: ERR_TOO_LARGE where a limit on size was passed, else what it says is wrong.
 */
int translation_read(struct translation *translation, struct str body,
                     struct err *err) must_check;

/* What an engine is asked that knows the model as `served_name`. Lives until the next call. */
struct http_body translation_body(struct translation *translation, const char *served_name);

/* Nobody is asked any more: gives the memory of the request back. */
void translation_drop_body(struct translation *translation);

/* Where it is asked. */
const char *translation_path(const struct translation *translation);

/* Keeps a piece of a response that isn't events. False when it has become too large. */
bool translation_keep(struct translation *translation, struct str piece);

/* The response that was kept, which had that status, as the client gets it; appends to `out`.
 * Returns the status for the client: 502 when the engine's 200 isn't what it should be. */
unsigned translation_finish(const struct translation *translation, unsigned status,
                            struct buf *out);

/* Takes a piece of a stream of the engine's events; appends the client's to `out`. An event larger
 * than SSE_EVENT_MAX is a fault. */
void translation_feed(struct translation *translation, struct str piece, struct buf *out);

/* The engine's stream has ended; appends what the client's still lacks: an error event, when the
 * engine hasn't said how its answer ended. */
void translation_end(struct translation *translation, struct buf *out);

/* It broke off: appends an error event of the status' kind, unless the stream was complete. */
void translation_fail(struct translation *translation, unsigned status, const char *message,
                      struct buf *out);

/* Why the client's stream was ended with an error event that isn't the engine's; NULL: it wasn't.
 * Lives as long as the translation. */
const char *translation_fault(const struct translation *translation);
