/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of one response on their way out, and the faults of a script that are about bytes: from
 * the point of a stall or cut on nothing is taken any more.
 */
#pragma once

#include "base/buf.h"
#include "lib/engine/script.h"

struct wire {
    const struct script *script; /* borrowed */
    struct buf out;
    size_t sent;                 /* of `out` */
    int64_t head_bytes, body_bytes; /* put so far; the coding counts as body */
    int64_t pieces;                 /* of the body */
    bool is_chunked;
    bool is_stalled, is_cut;
};

/* Makes ready for a response; keeps memory. */
void wire_reset(struct wire *wire, const struct script *script);
void wire_fini(struct wire *wire);

/* Bytes of the head, interim ones and garbage included. */
void wire_head(struct wire *wire, struct str bytes);

/* A piece of the body, in the transfer coding when it is chunked. An empty one is none. */
void wire_body(struct wire *wire, struct str bytes);

/* The coding's end. */
void wire_end(struct wire *wire);

/* To be said before event `i`: the point may be there. */
void wire_at_event(struct wire *wire, int64_t i);

/* Nothing is taken any more. */
static inline bool wire_is_over(const struct wire *wire)
{
    return wire->is_stalled || wire->is_cut;
}

/* What is to be written next. */
static inline struct str wire_pending(const struct wire *wire)
{
    return str_skip(buf_str(&wire->out), wire->sent);
}

/* `n` bytes of it were written. */
void wire_wrote(struct wire *wire, size_t n);
