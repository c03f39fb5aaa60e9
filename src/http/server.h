/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server side: listeners, connections, exchanges. All on one loop's thread.
 *
 * An exchange is one request and its response. The handler gets it when the request's head is
 * complete, sets its callbacks and answers now or later. The exchange ends with exactly one
 * on_close(); after that the pointer is dead. Until then all calls are allowed in any order that
 * HTTP allows; calls after the client has gone do nothing. No callback comes from inside a call.
 * Once the response is ended, neither on_body() nor on_end() come any more: what is left of the
 * request is dropped.
 *
 *     static void on_request(struct http_exchange *ex, void *ctx)
 *     {
 *         http_exchange_set_ops(ex, &ops, state);   // on_body, on_end, on_drain, on_close
 *     }
 *     ... in on_end: http_reply(ex, 200, headers, n, body);
 *
 * Back-pressure: http_reply_write() returns the bytes that wait for the socket; above
 * HTTP_HIGH_WATER stop writing until on_drain(). Request bodies: http_exchange_pause() stops
 * reading. The client's FIN or reset is seen in every phase and gives on_close(gone = true).
 */
#pragma once

#include "http/message.h"
#include "io/certificate.h"
#include "io/loop.h"

enum {
    HTTP_HIGH_WATER = 256 << 10,
    HTTP_HEAD_TIMEOUT_MS = 30000, /* from first byte to complete head */
    HTTP_IDLE_TIMEOUT_MS = 75000, /* between requests on a kept connection */
    HTTP_BODY_STALL_MS = 60000,   /* too little of a request's body, or taken of a response */
    HTTP_PROGRESS_MIN = 1024,     /* bytes that aren't too little, where so many are left */
    HTTP_HANDSHAKE_TIMEOUT_MS = 10000, /* for a TLS client's first byte, and for its handshake */
    HTTP_HANDSHAKES_MAX = 512,    /* TLS handshakes under way per server; others wait */
    HTTP_CONNECTIONS_MAX = 20000, /* per server, unless it is told otherwise */
};

struct http_server;
struct http_exchange;

struct http_exchange_ops {
    /* Next bytes of the request body, dechunked; borrowed for the call. Optional. */
    void (*on_body)(struct http_exchange *ex, struct str data, void *ctx);
    /* The request is complete (also when it had no body); not while paused. Optional. */
    void (*on_end)(struct http_exchange *ex, void *ctx);
    /* The body is malformed where it is framed; no response was begun. The owner replies, and the
     * connection ends with that. Optional: without it the server replies after on_close(gone). */
    void (*on_bad_body)(struct http_exchange *ex, const char *text, void *ctx);
    /* The response queue fell below the low-water mark after it was above the high one.
     * Optional. */
    void (*on_drain)(struct http_exchange *ex, void *ctx);
    /* Last call. `gone`: the client left, or the exchange was aborted, before all was sent. */
    void (*on_close)(struct http_exchange *ex, bool gone, void *ctx);
};

typedef void http_request_cb(struct http_exchange *ex, void *ctx);

/* `on_request` is called for each head. Returns owned. */
struct http_server *http_server_new(struct loop *loop, http_request_cb *on_request, void *ctx);

/*
 * Listens on `host`:`port` (host numeric or "0.0.0.0", "::"; port 0 picks one). `reuse_port` lets
 * several loops share it. On -EADDRINUSE the text names the port and, where /proc tells, the pid
 * that holds it. Returns the port.
 */
int http_server_listen_tcp(struct http_server *server, const char *host, unsigned port,
                           bool reuse_port, struct err *err) must_check;

/* Listens on a unix socket of mode 0600; a stale socket file is replaced, a live one is
 * -EADDRINUSE. */
int http_server_listen_unix(struct http_server *server, const char *path,
                            struct err *err) must_check;

/*
 * From now on what connects by TCP speaks TLS with this certificate (a reference is taken); those
 * that are there go on as they are. A client that comes in the clear is told so. NULL: in the
 * clear. Unix sockets always are.
 */
void http_server_set_certificate(struct http_server *server, struct certificate *certificate);

/*
 * How many connections may be open, HTTP_CONNECTIONS_MAX at first. When all are, the longest idle
 * one makes room for a new one; when none idles, the new one is closed at once.
 */
void http_server_set_connections_max(struct http_server *server, unsigned max);

/*
 * Who is told when connections can't be taken as they come, for the log: the limit is reached and
 * none is idle, or there are no descriptors. Once an episode. Optional.
 */
void http_server_set_on_trouble(struct http_server *server,
                                void (*on_trouble)(const char *text, void *ctx), void *ctx);

/* Who is told of each connection that is taken (+1) and that ends (-1), to count them. Optional. */
void http_server_set_on_count(struct http_server *server, void (*on_count)(int by, void *ctx),
                              void *ctx);

/* Connections that are open, and those of them that wait for a request. */
void http_server_count(const struct http_server *server, unsigned *ret_connections,
                       unsigned *ret_idle);

/* Closes the listeners and idle connections; exchanges in progress go on, then their connections
 * close. */
void http_server_drain(struct http_server *server);

/* Exchanges in progress. */
unsigned http_server_active(const struct http_server *server);

/* Aborts everything that is left (each exchange gets its on_close) and frees; not from inside one
 * of the server's callbacks. NULL is fine. */
void http_server_free(struct http_server *server);

/* ---- the exchange ---- */

void http_exchange_set_ops(struct http_exchange *ex, const struct http_exchange_ops *ops,
                           void *ctx);

/* The request's head; valid until on_close() or until it is forgotten, then NULL. */
const struct http_request_head *http_exchange_head(const struct http_exchange *ex);

/* Gives the head's memory back: of a response that may last long, and credentials stand in it. */
void http_exchange_forget_head(struct http_exchange *ex);

/* Numeric address of the peer ("unix" on a unix socket). */
const char *http_exchange_peer(const struct http_exchange *ex);

/* Whether the request came under TLS. */
bool http_exchange_is_tls(const struct http_exchange *ex);

/* User id of the peer on a unix socket (SO_PEERCRED), or -1. */
int64_t http_exchange_peer_uid(const struct http_exchange *ex);

/* Stops and restarts the delivery of the request's body; with it goes the "100 Continue". */
void http_exchange_pause(struct http_exchange *ex);
void http_exchange_resume(struct http_exchange *ex);

/* Whole response. Adds Content-Length, Date and Connection; `headers` are borrowed for the call. */
void http_reply(struct http_exchange *ex, unsigned status, const struct http_header *headers,
                unsigned count, struct str body);

/*
 * Response in pieces. `content_length` < 0 means unknown: chunked for HTTP/1.1, until close
 * for 1.0.
 */
void http_reply_start(struct http_exchange *ex, unsigned status, const struct http_header *headers,
                      unsigned count, int64_t content_length);

/* Sends what the socket takes, copies the rest into the queue; returns the bytes left there. */
size_t http_reply_write(struct http_exchange *ex, struct str data);

/* Moves the high-water mark of this exchange from HTTP_HIGH_WATER to `bytes`; the low one is a
 * quarter of it. */
void http_reply_set_high_water(struct http_exchange *ex, size_t bytes);

/* The response is complete; it is sent out and the exchange then closes (gone = false). */
void http_reply_end(struct http_exchange *ex);

/* Whether a status line was already written. */
bool http_reply_started(const struct http_exchange *ex);

/* Cuts the connection so that the client sees an incomplete response; on_close(gone = true)
 * follows. */
void http_exchange_abort(struct http_exchange *ex);
