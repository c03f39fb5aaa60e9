/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What server.c (listeners, the set of connections), server_tls.c (a connection's way to TLS),
 * server_conn.c (what one connection does), server_send.c (bytes out of it), server_limits.c (too
 * many connections), server_spares.c (memory) and exchange.c (the handler's calls) share.
 *
 * Calls from handlers only change state and touch the connection; all callbacks and all freeing
 * happen in server_conn_settle(), which runs from the loop, never from inside a handler's call. So
 * an exchange can't die under the hands of a handler that just replied.
 */
#pragma once

#include "base/buf.h"
#include "http/server.h"
#include "io/listener.h"
#include "io/stream.h"

enum {
    CONN_LISTENERS_MAX = 8,
    CONN_READ_HEAD = 4 << 10, /* bytes read at once while a head is awaited */
    CONN_READ_BODY = 64 << 10,
    CONN_PIPELINE_MAX = 64 << 10, /* bytes of next requests that are read ahead */
    CONN_DISCARD_MAX = 1 << 20,   /* bytes of an unwanted body that are read all the same */
    CONN_LINGER_MS = 10000,       /* after a last reply: time for the client to read it and close */
    CONN_LINGER_MAX = 64 << 20,   /* bytes that are dropped in this time: many clients read no reply
                                     before all of their request is out */
    CONN_LOW_WATER = HTTP_HIGH_WATER / 4,
    CONN_PEER_MAX = 48,
    CONN_PARTS_MAX = 3,
};

enum conn_phase {
    CONN_HELLO,     /* TLS is expected, no byte has come */
    CONN_QUEUED,    /* the client's hello waits for its turn */
    CONN_HANDSHAKE, /* TLS is being agreed on */
    CONN_HEAD,     /* waits for a request or the rest of its head */
    CONN_EXCHANGE, /* an exchange lives */
    CONN_DISCARD,  /* the response is out, the rest of the request's body is dropped */
    CONN_FLUSH,    /* the last bytes are being sent */
    CONN_LINGER,   /* our side is shut down; what the client still sends is dropped */
    CONN_DEAD,
};

/* Why connections can't be taken as they come. */
enum server_trouble { SERVER_FULL, SERVER_STARVED, SERVER_TROUBLE_COUNT };

enum { SERVER_SPARE_BUFS = 32, SERVER_SPARE_EXCHANGES = 16 };

/* Memory to be used again. */
struct server_spares {
    struct buf bufs[SERVER_SPARE_BUFS]; /* empty, of CONN_READ_HEAD bytes or more */
    struct http_exchange *exchanges[SERVER_SPARE_EXCHANGES];
    struct http_request_head *heads[SERVER_SPARE_EXCHANGES];
    unsigned buf_count, exchange_count, head_count;
};

struct http_server {
    struct loop *loop;
    http_request_cb *on_request;
    void *ctx;
    struct listener *listeners[CONN_LISTENERS_MAX];
    unsigned listener_count;
    struct list_node conns;   /* server_conn.node */
    struct list_node touched; /* server_conn.touched: to be settled at the end of this turn */
    struct certificate *certificate; /* a reference; NULL: in the clear */
    struct list_node hellos;         /* server_conn.hello, in CONN_QUEUED */
    struct list_node handshakes;     /* server_conn.hello, in CONN_HANDSHAKE; the oldest first */
    unsigned handshake_count;
    struct timer handshake_timer; /* begins some of the handshakes that wait */
    struct list_node idle;    /* server_conn.idle: no byte of a request is there; oldest first */
    unsigned conn_count, idle_count, connections_max;
    bool is_starved; /* a listener may pause for want of descriptors */
    int64_t trouble_ms[SERVER_TROUBLE_COUNT]; /* the last time; 0: never */
    void (*on_trouble)(const char *text, void *ctx);
    void *trouble_ctx;
    void (*on_count)(int by, void *ctx);
    void *count_ctx;
    unsigned active; /* exchanges */
    bool draining;
    bool sweep_due;        /* a deferred sweep holds a pointer to this server */
    bool freed;            /* the sweep frees it */
    int64_t date_until_ms; /* loop time at which `date` is out of date */
    char date[40];         /* "Tue, 15 Nov 1994 08:12:31 GMT" */
    struct server_spares spares;
};

struct server_conn {
    struct http_server *server;
    struct list_node node;
    struct list_node touched;
    struct list_node hello;
    struct list_node idle;
    struct stream *stream;
    struct timer timer; /* fires at or before the deadline, which is computed */
    int64_t since_ms;   /* start of the wait that has a deadline: entry or last progress */
    unsigned progress;  /* bytes that moved since then, up to HTTP_PROGRESS_MIN */
    enum conn_phase phase;
    bool failed; /* client gone, stalled or aborted: ends with the next settling */
    bool reset;  /* close with a reset */
    bool settling;
    bool blocked;             /* the socket took less than it was given */
    bool unread;              /* bytes of the client are left unread: linger */
    bool parse_due;           /* a line has come since the head was last looked at */
    bool continue_due;        /* the client waits for "100 Continue" */
    enum http_body_kind body; /* of the request, as far as unread: NONE once it is complete */
    uint64_t body_left;
    struct http_chunked chunked;
    size_t discarded;         /* bytes of this request that nobody wanted */
    struct buf in;            /* read and not yet used; no memory while idle */
    struct buf out;           /* queue of the response; no memory while idle */
    size_t out_sent;          /* bytes of `out` that are sent */
    struct http_exchange *ex; /* in CONN_EXCHANGE */
    int64_t peer_uid;
    char peer[CONN_PEER_MAX];
};

enum reply_coding { REPLY_LENGTH, REPLY_CHUNKED, REPLY_TO_CLOSE, REPLY_NO_BODY };

struct http_exchange {
    struct server_conn *conn;
    struct http_exchange_ops ops;
    void *ctx;
    bool paused;
    bool end_told; /* on_end() was called */
    bool closed;   /* on_close() was called */
    bool reply_started, reply_ended;
    bool keep_alive; /* the connection may serve another request; set by the reply */
    bool above_high; /* on_drain() is due when the queue gets low */
    size_t high_water;
    enum reply_coding coding;
    uint64_t reply_left; /* REPLY_LENGTH: bytes still to be written */
    enum http_method method; /* these three of the head, as long as the exchange */
    unsigned minor;
    bool wants_keep_alive;
    struct buf text;                /* what `head` borrows from */
    struct http_request_head *head; /* owned; NULL once it was forgotten */
};

/* Takes over an accepted socket. */
void server_conn_new(struct http_server *server, int fd, const char *peer, int64_t peer_uid);

/* Settles at the end of this turn. For calls that come from outside. */
void server_conn_touch(struct server_conn *conn);

/* Does all that can be done now; frees the connection when it has ended. Only from the loop. */
void server_conn_settle(struct server_conn *conn);

/* Sends what is queued and then `parts` (at most CONN_PARTS_MAX); what the socket won't take is
 * copied into the queue. */
void server_conn_send(struct server_conn *conn, const struct iovec *parts, int count);

/* Bytes that wait for the socket. */
static inline size_t server_conn_queued(const struct server_conn *conn)
{
    return conn->out.len - conn->out_sent;
}

/* Gives an empty `ret` without memory some of a former one's; may leave it so. */
void server_buf_take(struct http_server *server, struct buf *ret);

/* Empties `buf` and takes its memory. */
void server_buf_give(struct http_server *server, struct buf *buf);

/* An exchange of this connection, zeroed but for what the table of headers holds. */
struct http_exchange *server_exchange_new(struct server_conn *conn);

/* Wipes and takes back. */
void server_exchange_free(struct http_exchange *ex);

/* Frees what is kept. */
void server_spares_fini(struct server_spares *spares);

/* The wait begins anew. */
void server_conn_restart_wait(struct server_conn *conn);

/* Bytes have moved: enough of them and the wait begins anew. A trickle doesn't help. */
void server_conn_progress(struct server_conn *conn, size_t bytes);

/* Gives up on the connection. */
void server_conn_fail(struct server_conn *conn);

/* Changes the phase. */
void server_conn_enter(struct server_conn *conn, enum conn_phase phase);

/* The server's own answer to what can't be handed to a handler; the connection then ends. */
void server_conn_refuse(struct server_conn *conn, unsigned status, const char *message);

/* Whether one more connection may be taken; closes an idle one where that helps. */
bool server_make_room(struct http_server *server);

/* Callback of listeners. */
void server_on_starved(struct listener *listener, int code, void *ctx);

/* One connection more or less. */
void server_count_conn(struct http_server *server, int by);

/* A descriptor is free again. */
void server_on_conn_closed(struct http_server *server);

/* Puts the connection into the list of idle ones, or takes it out, as it is now. */
void server_note_idle(struct server_conn *conn);

/* In CONN_HELLO there is something to read. */
void server_tls_on_hello(struct server_conn *conn);

/* In CONN_HANDSHAKE the socket is ready. */
void server_tls_step(struct server_conn *conn);

/* The way to TLS ends, whether done or not; nothing to do for others. */
void server_tls_leave(struct server_conn *conn);

/* Callback of handshake_timer. */
void server_tls_start_some(struct timer *timer, void *ctx);

/* Appends status line, Date, `headers` and the framing headers to `out`. */
struct reply_head {
    unsigned status;
    const struct http_header *headers;
    unsigned count;
    enum reply_coding coding;
    int64_t content_length; /* < 0: not written */
    bool close;             /* "Connection: close" */
    bool keep_alive;        /* "Connection: keep-alive", which HTTP/1.0 needs */
};
void reply_head_write(struct http_server *server, const struct reply_head *head, struct buf *out);
