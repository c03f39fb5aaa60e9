/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the HTTP client, shared by target.c, pool.c, request_out.c, client.c and lines.c. */
#pragma once

#include "base/buf.h"
#include "http/client.h"
#include "io/stream.h"

/* ---- targets ---- */

enum { HTTP_TARGET_TEXT_MAX = 300 };

/* "http://host:port", "https://[::1]:443" or "unix:/path": for texts, and to tell targets apart. */
void http_target_text(const struct http_target *target, char ret[HTTP_TARGET_TEXT_MAX]);

/* ---- the pool ---- */

enum { HTTP_SCRATCH_SIZE = 64 << 10 };

struct target_group;

struct http_pool {
    struct loop *loop;
    struct list_node calls;       /* under way: struct http_call by `node` */
    struct list_node spare_calls; /* ended: struct http_call by `node` */
    unsigned spare_count;
    struct list_node spare_kept; /* records of connections that were kept: struct kept */
    unsigned spare_kept_count;
    struct target_group *groups; /* targets that have calls or kept connections (uthash) */
    struct list_node kept;       /* connections of all targets, the oldest first */
    struct timer age_timer;      /* fires when the oldest has to go, or before */
    char *scratch;               /* owned; bytes just read, of whichever call; NULL until needed */
    struct buf spare_head_text;  /* room for the text of the next head */
    struct http_response_head head; /* of the call whose head is just being read */
};

/* A call to `target` begins; the group lives at least until http_pool_leave(). */
struct target_group *http_pool_join(struct http_pool *pool, const struct http_target *target);
void http_pool_leave(struct http_pool *pool, struct target_group *group);

/*
 * A kept connection, now the caller's; NULL when there is none. `can_retry`: the caller does
 * without harm when the peer turns out to have closed it already.
 */
struct stream *http_pool_take(struct http_pool *pool, struct target_group *group, bool can_retry);

/* Keeps a connection that is idle; takes `stream`. */
void http_pool_keep(struct http_pool *pool, struct target_group *group, struct stream *stream);

/* Closes the connection that was kept longest, for its descriptor; false when there is none. */
bool http_pool_close_oldest(struct http_pool *pool);

/* A zeroed call, in pool->calls. */
struct http_call *http_pool_new_call(struct http_pool *pool);

/* Takes back a call that is in no list. */
void http_pool_free_call(struct http_call *call);

/* ---- the way out: a request on its way to the socket ---- */

struct request_out {
    struct buf head;  /* request line and headers */
    struct http_body body; /* given whole; borrowed */
    struct buf queue; /* of a streamed body, framed: what waits for the socket */
    size_t head_sent;
    size_t body_len;
    size_t body_sent;
    size_t queue_sent;
    bool is_streamed;
    bool is_chunked;
    bool is_finished; /* nothing will be added */
    bool is_broken;   /* the peer takes no more; what waits was dropped */
};

/* Writes the head. ERR_INVALID when a part of it would break the protocol. */
int request_out_init(struct request_out *out, const struct http_call_params *params,
                     struct err *err) must_check;
void request_out_fini(struct request_out *out);

/* Back to the start, for another connection; not for a streamed body. */
void request_out_rewind(struct request_out *out);

void request_out_add(struct request_out *out, struct str data);
void request_out_finish(struct request_out *out);

/* Gives the socket what it takes in one write; whether it took anything. */
bool request_out_flush(struct request_out *out, struct stream *stream);

/* Bytes that wait for the socket. */
size_t request_out_waiting(const struct request_out *out);

/* Gives memory back when all of the request is out; it can't be sent again then. */
void request_out_shrink(struct request_out *out);

/* Whether all of the request is out. */
bool request_out_is_done(const struct request_out *out);

/* ---- calls ---- */

enum call_state {
    CALL_CONNECT,
    CALL_HEAD, /* the request goes out, the response's head is awaited */
    CALL_BODY,
    CALL_DEAD, /* ended; its memory goes at the end of the turn */
};

struct http_call {
    struct list_node node; /* in pool->calls */
    struct http_pool *pool;
    const struct http_call_ops *ops;
    void *ctx;
    const struct http_target *target; /* borrowed */
    struct target_group *group;       /* of `target`; from joining to the end */
    enum http_method method;
    int64_t connect_timeout_ms, head_timeout_ms, idle_timeout_ms;

    enum call_state state;
    struct stream *stream; /* owned */
    struct timer timer;    /* fires at the deadline or before */
    int64_t deadline_ms;   /* of the response's head or its next piece; while `timer` is armed */
    struct timer kick;     /* work that mustn't be done inside the owner's call */
    char *refused;         /* owned; why the request can't be sent (ERR_INVALID); NULL: it can */
    bool is_reused;        /* the connection was a kept one */
    bool is_last;          /* the connection isn't kept after this call */
    bool was_connected;    /* the request may have arrived */
    bool was_stale;        /* a kept connection turned out to be closed */
    int64_t written_ms;    /* loop time of the last write */

    struct request_out out;
    bool owes_drain; /* bytes waited after http_call_write() */

    unsigned interim_count; /* 1xx responses so far */
    uint64_t left;          /* bytes of a body of known length still to come */
    struct http_chunked chunked;
    struct buf held; /* read, but held back since the owner pauses */
    bool is_paused;
    struct buf head_text;     /* of the response's head, until it was told */
    enum http_body_kind body; /* of the response */
    bool keep_alive;          /* the peer says so */
};
