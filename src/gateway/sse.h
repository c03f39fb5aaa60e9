/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splits a stream of server-sent events (WHATWG HTML, "Server-sent events") into whole events, for
 * passing them on: the bytes of all events, one after the other, are the bytes of the stream. How
 * the stream is cut into pieces makes no difference.
 *
 * An event that lies whole in a piece is borrowed from it; only the beginning of one that goes on
 * in the next piece is copied. One thread; the zero value is the start of a stream.
 *
 *     sse_feed(&sse, piece);
 *     while (sse_next(&sse, &event))
 *         pass_on(event.raw);
 *     at the end of the stream: pass_on(sse_rest(&sse)); sse_fini(&sse);
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SSE_EVENT_MAX = 1 << 20, /* bytes of an event that is looked into */
    SSE_KEEP_MAX = 8 << 10,  /* bytes of memory that are kept between events */
};

struct sse {
    struct str piece;  /* what is left of the piece that was fed; borrowed */
    struct buf held;   /* beginning of an event whose rest hasn't come, or the last event */
    struct buf joined; /* data of the last event when it had several lines */
    uint8_t state;     /* where in a line the stream is; of the enum in sse.c */
    bool is_given;     /* `held` was given out as an event */
    bool is_oversize;  /* the present event is given out in pieces */
    bool has_begun;    /* a byte order mark can't follow any more */
};

/* Views are valid until the next call for the same stream, and as long as the piece is. */
struct sse_event {
    struct str raw;  /* all bytes, with the blank line that ends it */
    struct str name; /* value of its last "event" line; empty: none */
    struct str data; /* values of its "data" lines, joined by LF; ptr is NULL when it has none, as a
                        comment or a blank line */
    bool is_partial; /* part of an event longer than SSE_EVENT_MAX; name and data are empty */
};

/* Gives the next piece; the one before must have been read to its end by sse_next(). */
void sse_feed(struct sse *sse, struct str piece);

/* Takes the next event; false when the rest of the piece isn't a whole one. */
bool sse_next(struct sse *sse, struct sse_event *ret);

/* What came of an event that isn't whole; empty between events. Valid until the next call. */
struct str sse_rest(const struct sse *sse);

/*
 * The stream is over: sse_rest() as an event, for an engine that forgot its last blank line. False
 * when there is none.
 */
bool sse_end(struct sse *sse, struct sse_event *ret);

/* Frees what is held. */
void sse_fini(struct sse *sse);
