/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a response for a load generator: fast, no allocation, strict about its end, blind for the
 * rest. Of a stream it counts the events and sees whether one is missing: the scripted engine
 * numbers them in their content.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { RESPONSE_HEAD_MAX = 16 << 10, RESPONSE_LINE_MAX = 2048 };

enum response_state { RESPONSE_HEAD, RESPONSE_BODY, RESPONSE_DONE, RESPONSE_BAD };

enum coding_state { CODING_SIZE, CODING_DATA, CODING_DATA_END, CODING_TRAILER };

struct response {
    enum response_state state;
    unsigned status;
    bool is_chunked, is_to_close, is_kept, is_events;
    enum coding_state coding;
    uint64_t left;        /* of the body or of its chunk */
    bool has_digit;       /* of the chunk's size */
    size_t line_bytes;    /* of the trailer's present line */
    uint64_t body_bytes;
    int64_t events;       /* with content */
    int64_t missing;      /* events that weren't the expected number */
    bool is_ended;        /* [DONE] came */
    char *hold;           /* of RESPONSE_HEAD_MAX; a head or an event that isn't whole yet; owned */
    size_t hold_len;
};

/* Makes ready for another response; `hold` is kept, and allocated when there is none. */
void response_begin(struct response *response);
void response_fini(struct response *response);

/* Takes bytes; what lies behind the response's end makes it RESPONSE_BAD. */
enum response_state response_feed(struct response *response, struct str data);

/* The connection has ended; DONE when that is how the response ends. */
enum response_state response_close(struct response *response);
