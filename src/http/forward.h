/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwards one exchange to a target and streams the response back: the body of the gateway, of the
 * worker's relay and of the log proxy. One loop's thread.
 *
 * Rewrites heads (hop-by-hop headers never pass, RFC 9110 section 7.6.1), dechunks and rechunks,
 * holds both sides to the slower one, and closes the upstream connection at once when the client
 * leaves. Every piece of the response is passed on in the turn in which it came. Once the response
 * has begun the exchange's head is forgotten.
 */
#pragma once

#include "http/client.h"
#include "http/server.h"

struct forward;

enum { FORWARD_ADD_MAX = 16 };

enum forward_outcome {
    FORWARD_DONE,        /* the response went out whole */
    FORWARD_CLIENT_GONE, /* the client left first; upstream was closed */
    FORWARD_BAD_BODY,    /* the client's streamed body is malformed: no reply was sent yet */
    FORWARD_FAILED,      /* upstream failed before a byte of the response: no reply was sent yet */
    FORWARD_CUT,         /* upstream failed after the response had begun */
    FORWARD_TAKEN,       /* upstream's response is complete, and by forward_take() the owner's */
};

struct forward_params {
    struct http_pool *pool;
    const struct http_target *target; /* copied */
    struct str path;                  /* path and query to ask for; borrowed for the call */
    const struct http_header *add;    /* set on the request instead of the client's; borrowed for
                                         the call */
    unsigned add_count;               /* at most FORWARD_ADD_MAX */
    bool (*drops)(struct str name);   /* whether a request header stays here. Optional */
    const struct http_header *reply_add; /* set on the response, as `add` on the request; borrowed
                                            until on_done() */
    unsigned reply_add_count;            /* at most FORWARD_ADD_MAX */
    bool (*reply_drops)(struct str name); /* whether a response header stays here. Optional */
    struct http_body body; /* when the owner has read the whole request body: what it borrows from
                              stays until on_done(). With no parts the body is streamed through */
    int64_t head_timeout_ms; /* as in http_call_params */
    int64_t idle_timeout_ms;
    /* Sees each piece of a request's body that is streamed through. Optional. */
    void (*on_request_body)(struct forward *fwd, struct str data, void *ctx);
    /* Sees the response's head before it is passed on. Optional. */
    void (*on_head)(struct forward *fwd, const struct http_response_head *head, void *ctx);
    /* Sees each piece of the response before it is passed on. Optional. */
    void (*on_body)(struct forward *fwd, struct str data, void *ctx);
    /* All of the response has come; more can be sent after forward_rewrite(). Optional. */
    void (*on_end)(struct forward *fwd, void *ctx);
    /*
     * Last call. On FORWARD_FAILED and FORWARD_BAD_BODY the exchange is alive and the owner replies
     * in its own dialect (set ops first) or, of the first, forwards it elsewhere; `code` and `text`
     * as in http_call_ops.on_error. On FORWARD_TAKEN it is alive too and nothing was replied. On
     * FORWARD_CUT the exchange is alive and the owner may append a last event, then must call
     * http_reply_end() or http_exchange_abort(). On DONE and CLIENT_GONE the exchange is dead.
     */
    void (*on_done)(struct forward *fwd, enum forward_outcome outcome, int code, const char *text,
                    void *ctx);
    void *ctx;
};

/*
 * Takes over the exchange's callbacks. Call it from on_request() when the body is to be streamed
 * through, or after the whole body was read. Returns a handle that lives until on_done() returns.
 */
struct forward *forward_start(struct http_exchange *ex, const struct forward_params *params);

/*
 * From on_head() only: the head goes to the client without a length, and what follows it is what
 * the owner sends with forward_send(), from on_body() and on_end().
 */
void forward_rewrite(struct forward *fwd);
void forward_send(struct forward *fwd, struct str data);

/* From on_head() only: nothing goes to the client; on_done(FORWARD_TAKEN) follows the last byte. */
void forward_take(struct forward *fwd);

/* How it came to its connection to the target; in on_done() too. */
struct http_call_path forward_path(const struct forward *fwd);

/* Whether the body isn't needed any more; from on_body(). */
bool forward_body_is_sent(const struct forward *fwd);

/* Whether the client's streamed body isn't complete, and upstream has all that came of it. */
bool forward_awaits_body(const struct forward *fwd);

/* Cuts a forward short: upstream is closed, on_done(FORWARD_CUT or _FAILED) comes at once. */
void forward_cancel(struct forward *fwd, int code, const char *text);

/* The exchange that is being forwarded. */
struct http_exchange *forward_exchange(const struct forward *fwd);
