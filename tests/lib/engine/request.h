/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request as the scripted engine reads it: lenient, for it is what the gateway has written that
 * is looked at, not what could go wrong with it. Fed with pieces of a connection's bytes.
 */
#pragma once

#include "base/buf.h"

#include <sodium.h>
#include <stdint.h>

enum { REQUEST_HEADERS_MAX = 200, REQUEST_HEAD_MAX = 1 << 20 };

enum request_news {
    REQUEST_MORE, /* all was taken, more is needed */
    REQUEST_HEAD, /* the head is complete; feed on */
    REQUEST_DONE, /* the request is complete; what is left belongs to the next one */
    REQUEST_BAD,  /* not HTTP, or larger than the limits */
};

enum body_state {
    BODY_NONE, /* or all of it was read */
    BODY_LENGTH,
    BODY_SIZE_LINE,
    BODY_CHUNK,
    BODY_CHUNK_END,
    BODY_TRAILER,
};

struct request_header {
    struct str name, value;
};

/* Views lie in `head`. */
struct request {
    struct buf head;
    bool has_head;
    struct str method, path; /* the path without its query */
    struct request_header headers[REQUEST_HEADERS_MAX];
    size_t header_count;
    bool is_kept; /* the connection may go on afterwards */
    bool is_looked_at; /* body is kept and hashed; decided by the caller at REQUEST_HEAD */
    enum body_state state;
    uint64_t left;     /* bytes of the body or of its chunk */
    struct buf line;   /* of the transfer coding, as far as it came */
    struct buf body;   /* when looked at */
    uint64_t body_bytes;
    crypto_hash_sha256_state hash;
};

/* What the body says at its top level; views lie in the body. */
struct members {
    bool is_stream;
    bool include_usage;
    int64_t max_tokens;          /* the least of the caps; -1: none */
    struct str model, script;    /* as written, without the quotes; empty: absent */
};

/* Takes bytes from the front of `*data`. */
enum request_news request_feed(struct request *request, struct str *data);

/* The value of a header, or the empty view. */
struct str request_header(const struct request *request, struct str name);

/* Makes ready for the next request; keeps memory. */
void request_reset(struct request *request);
void request_fini(struct request *request);

/* Finds the members in a JSON object; anything else has none. */
void members_read(struct str body, struct members *ret);
