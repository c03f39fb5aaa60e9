/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of Anthropic's Messages API on its way to an engine that doesn't speak it: as a chat
 * completion there, as a Message or its events back (count_tokens: as vLLM's tokenize). Holds the
 * translated request, and the response as far as it has to be kept whole. One shard's thread.
 */
#pragma once

#include "gateway/record.h"
#include "gateway/request_id.h"
#include "gateway/sse.h"

#include "base/buf.h"
#include "base/err.h"

enum { TRANSLATION_RESPONSE_MAX = 32 << 20 }; /* bytes of a response that is kept whole */

struct translation;

/*
 * Translates the client's body. `name` is the model as the client wrote it, `served_name` as the
 * engine knows it. The text of an error is for the client. Returns owned in `*ret`.
 */
int translation_new(enum operation operation, struct str body, const char *name,
                    const char *served_name, const struct request_id *id, struct translation **ret,
                    struct err *err) must_check;
void translation_free(struct translation *translation);

/* What the engine is asked, and where. Live as long as the translation. */
struct str translation_body(const struct translation *translation);
const char *translation_path(const struct translation *translation);

/* Keeps a piece of a response that isn't events. False when it has become too large. */
bool translation_keep(struct translation *translation, struct str piece);

/* The response that was kept, which had that status, as the client gets it; appends to `out`.
 * Returns the status for the client: 502 when the engine's 200 isn't what it should be. */
unsigned translation_finish(const struct translation *translation, unsigned status,
                            struct buf *out);

/* Takes a piece of a stream of the engine's events; appends the client's to `out`. */
void translation_feed(struct translation *translation, struct str piece, struct buf *out);

/* The engine's stream has ended properly; appends what the client's still lacks. */
void translation_end(struct translation *translation, struct buf *out);

/* It broke off: appends an error event of the status' kind, unless the stream was complete. */
void translation_fail(struct translation *translation, unsigned status, const char *message,
                      struct buf *out);

/* Whether the client has got the last event. */
bool translation_is_complete(const struct translation *translation);
