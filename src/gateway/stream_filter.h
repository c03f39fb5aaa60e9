/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to an engine's server-sent events on their way to the client. They pass as they
 * came, in the turn in which they came, but for one: the chunk with the usage that the gateway
 * asked for is taken out when the client didn't, and completed with what the gateway measured when
 * it did.
 *
 * By the way it counts: tokens as the engine tells them, chunks with content, times; and it knows
 * whether the stream said that it is complete, for an end without a word must not pass for success.
 * One shard's thread.
 */
#pragma once

#include "gateway/record.h"
#include "gateway/sse.h"
#include "gateway/usage.h"

struct stream_filter {
    struct sse sse;
    struct usage usage; /* as the engine told it so far */
    enum operation operation;
    bool hides_usage; /* the client didn't ask for the chunk that only tells usage */
    bool is_complete; /* an event came without which the answer would be cut off */
    uint32_t choices, finishes; /* that were seen, and of them told their end */
    bool is_over;     /* the last event came, behind which clients don't read on */
    bool has_error;   /* the engine told an error in the stream */
    bool is_inside;   /* the last bytes that were sent are the middle of an event */
    uint32_t content_chunks; /* that were passed on; a token each, as engines do it */
    int64_t started_us;      /* of the request */
    int64_t first_us;        /* of the first chunk with content; 0: none yet */
    int64_t last_us;         /* of the last */
};

typedef void stream_send(struct str data, void *ctx);

/* `started_us`: when the request began, by the clock of `now_us` below. */
void stream_filter_init(struct stream_filter *filter, enum operation operation, bool hides_usage,
                        int64_t started_us);
void stream_filter_fini(struct stream_filter *filter);

/* Takes a piece of the engine's stream and sends what of it is the client's. */
void stream_filter_feed(struct stream_filter *filter, struct str piece, int64_t now_us,
                        stream_send *send, void *ctx);

/*
 * The engine's stream has ended, well or not: what is left of an event that isn't whole is dropped.
 * Whether what the client has got can stand as it is: the stream was complete, or of a kind that
 * has no word for it and `is_whole` says that the engine ended it properly.
 */
bool stream_filter_end(struct stream_filter *filter, bool is_whole);
