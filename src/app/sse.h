/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events, reading side: gives the data of each event (WHATWG HTML, "Server-sent
 * events"; event names and ids are left out, no model API uses them in answers). Pure.
 */
#pragma once

#include "base/buf.h"

enum { SSE_EVENT_MAX = 4 << 20 };

struct sse_reader {
    struct buf line; /* what came of the current line */
    struct buf data; /* of the current event */
};

/* Feeds bytes; on_event() for each complete event with data. -EMSGSIZE above SSE_EVENT_MAX. */
int sse_feed(struct sse_reader *reader, struct str bytes,
             void (*on_event)(struct str data, void *ctx), void *ctx) must_check;

void sse_fini(struct sse_reader *reader);
