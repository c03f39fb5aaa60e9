/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make content share. */
#pragma once

#include "lib/engine/content.h"

/* `"usage":{...}` and what else tells tokens, with a comma before; nothing when there is none. */
void usage_put(const struct content *content, int64_t completion, struct buf *out);

/* The same in one event of a chat stream or the like: by shape, and whether it is the last one. */
void usage_put_event(const struct content *content, int64_t completion, bool is_finish,
                     struct buf *out);

/* Whether a last event with usage and without choices is due. */
bool usage_has_own_event(const struct content *content);

/* The members of Responses' and Messages' usage objects, without braces. */
void usage_put_input_output(const struct content *content, int64_t completion, struct buf *out);

/* The text of content event `i`. */
void text_put(const struct content *content, int64_t i, struct buf *out);

/* The texts of all events. */
void text_put_all(const struct content *content, struct buf *out);

/* Beginning of an event, of this type unless it is NULL, and its end. */
void event_begin(const struct content *content, const char *type, struct buf *out);
void event_end(const struct content *content, struct buf *out);

/* Streams of the APIs that have typed events: Responses and Messages. */
void typed_event(const struct content *content, int64_t i, struct buf *out);
void typed_tail(const struct content *content, struct buf *out);
void typed_whole(const struct content *content, struct buf *out);
