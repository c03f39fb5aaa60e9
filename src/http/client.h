/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client side: a pool of kept connections per target and calls on them. One loop's thread.
 *
 * A call ends with exactly one of on_end() and on_error(), or with http_call_cancel(); after that
 * the pointer is dead. No callback comes from inside http_call_start(). A kept connection that the
 * peer closed before a byte of the response arrived is replaced by a fresh one once, silently, when
 * the body was given whole (`body`). There is no other retry here.
 */
#pragma once

#include "http/message.h"
#include "io/loop.h"

enum {
    HTTP_CONNECT_TIMEOUT_MS = 5000,
    HTTP_POOL_IDLE_MS = 4000,      /* kept connections are closed after; below servers' usual 5 s */
    HTTP_POOL_IDLE_MAX = 512,      /* kept connections per target */
};

struct http_target {
    char host[256];      /* name, IPv4, or IPv6 without brackets; empty for a unix socket */
    unsigned port;
    bool tls;            /* https: certificate checked against the system's trust store */
    char unix_path[108]; /* set: connect there, `host` only fills the Host header */
};

/*
 * Parses "http://host[:port][/]", "https://..." or "unix:/path". ERR_INVALID names what is wrong.
 */
int http_target_parse(const char *url, struct http_target *ret, struct err *err) must_check;

struct http_pool;
struct http_call;

struct http_pool *http_pool_new(struct loop *loop);

/* Cancels what runs (no callbacks) and closes all. NULL is fine. */
void http_pool_free(struct http_pool *pool);

/* Closes kept connections to `target` and forgets it; for an endpoint that is gone. */
void http_pool_forget(struct http_pool *pool, const struct http_target *target);

struct http_call_ops {
    /* The response's head; borrowed for the call. 1xx are swallowed. Optional. */
    void (*on_head)(struct http_call *call, const struct http_response_head *head, void *ctx);
    /* Next bytes of the body, dechunked; borrowed for the call. Optional. */
    void (*on_body)(struct http_call *call, struct str data, void *ctx);
    /* What had to wait in http_call_write() went out but for 64 KiB or less. Optional. */
    void (*on_drain)(struct http_call *call, void *ctx);
    /* The response is complete. */
    void (*on_end)(struct http_call *call, void *ctx);
    /*
     * The call failed. `code` is -ECONNREFUSED and the like, ERR_TIMEOUT, ERR_CLOSED (peer closed
     * too early), ERR_PROTOCOL, ERR_INVALID (path or headers that can't be sent). Whether on_head()
     * came first is for the owner to remember.
     */
    void (*on_error)(struct http_call *call, int code, const char *text, void *ctx);
};

enum { HTTP_BODY_PARTS_MAX = 7 };

/* A whole body in pieces that are sent one behind the other; borrows from their owner. */
struct http_body {
    struct str parts[HTTP_BODY_PARTS_MAX];
    unsigned count; /* 0: no body */
};

/* A body of one piece; of none when `text` has no pointer. */
static inline struct http_body http_body_of(struct str text)
{
    return (struct http_body){.parts = {text}, .count = text.ptr ? 1 : 0};
}

struct http_call_params {
    const struct http_target *target;
    enum http_method method;
    struct str path;                   /* path and query */
    const struct http_header *headers; /* without Host, Connection and those of the framing */
    unsigned header_count;
    struct http_body body;             /* whole; what it borrows from stays until the call ends */
    bool stream_body;                  /* the body comes by http_call_write() instead */
    int64_t stream_length;             /* its length, or -1 for chunked */
    int64_t connect_timeout_ms;        /* 0: HTTP_CONNECT_TIMEOUT_MS */
    int64_t head_timeout_ms;           /* from the request out to the response's head; 0: none */
    int64_t idle_timeout_ms;           /* between two reads of the body; 0: none */
};

/*
 * Starts a call. `ops`, the target and the body live until it ends, the rest of what `params`
 * borrows during this call. Never NULL.
 */
struct http_call *http_call_start(struct http_pool *pool, const struct http_call_params *params,
                                  const struct http_call_ops *ops, void *ctx);

/*
 * Sends more of a streamed body; returns the bytes that wait for the socket. With a `stream_length`
 * the pieces add up to it. Finish comes after the last piece, once.
 */
size_t http_call_write(struct http_call *call, struct str data);
void http_call_finish(struct http_call *call);

/* Stops and restarts on_body(); while paused nothing is read, so the peer is slowed down. */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);

/* How a call came to its connection. */
struct http_call_path {
    bool was_connected; /* it stood: the request may have arrived */
    bool is_reused;     /* it was a kept one */
    bool was_stale;     /* a kept one had been closed: this is a fresh one */
};

/* In on_error() too. */
struct http_call_path http_call_path(const struct http_call *call);

/* Whether all of the request is out: in on_body() and later its body isn't needed any more then. */
bool http_call_is_sent(const struct http_call *call);

/* Whether it is for http_call_write() or http_call_finish() to go on: all that was given is out. */
bool http_call_awaits_body(const struct http_call *call);

/* Ends the call now, without a callback; its connection is reset. NULL is fine. */
void http_call_cancel(struct http_call *call);
