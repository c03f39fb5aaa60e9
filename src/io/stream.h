/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected, non-blocking byte stream: TCP or unix socket, either side optionally under TLS.
 *
 * The owner says which events it wants and reads or writes when told; there is no buffer here, so
 * back-pressure is simply not asking. One loop's thread. After stream_free() no callback comes;
 * freeing inside the stream's own callback is allowed.
 */
#pragma once

#include "io/certificate.h"
#include "io/loop.h"

#include <sys/types.h>
#include <sys/uio.h>

struct stream;

/* `events` are WATCH_READ, WATCH_WRITE, WATCH_HANGUP as asked for by stream_want(). */
typedef void stream_event_cb(struct stream *stream, unsigned events, void *ctx);

/*
 * A TCP peer that is gone without a word (its machine, or the network to it) is noticed by the
 * kernel: a quiet connection is probed. On accepted ones what was sent has to be taken in time,
 * too; a connection to an engine has no such limit, for one that is busy may leave a large body
 * where it is.
 */
enum {
    STREAM_PROBE_IDLE_S = 30, /* without traffic before the first probe */
    STREAM_PROBE_INTERVAL_S = 10,
    STREAM_PROBE_COUNT = 3,    /* unanswered ones that end it */
    STREAM_UNTAKEN_MS = 75000, /* more than HTTP_BODY_STALL_MS, which ends it in good order */
};

/* A socket that a listener has accepted; takes `fd`. No event is wanted at first. */
struct stream *stream_from_fd(struct loop *loop, int fd, stream_event_cb *on_event, void *ctx);

/*
 * From here on an accepted stream is the server's side of a TLS connection; before a byte of it was
 * read. stream_handshake() comes next, each time when the stream is ready to be read, until it
 * returns 0: nothing may be read or written before. The certificate is borrowed for the call.
 */
int stream_start_tls(struct stream *stream, const struct certificate *certificate,
                     struct err *err) must_check;

/* 0 when done, -EAGAIN while it goes on, or why it failed. */
int stream_handshake(struct stream *stream, struct err *err) must_check;

/* Whether its bytes travel under TLS. */
bool stream_is_tls(const struct stream *stream);

struct stream_address {
    const char *host; /* name or numeric; NULL with unix_path */
    unsigned port;
    const char *unix_path; /* set: connect there */
    bool tls;              /* certificate (by the system's store) and name are checked */
    int64_t timeout_ms;    /* for name, connect and handshake together */
};

/*
 * Connects; `on_connect` comes once, never from inside this call: 0, or -ECONNREFUSED, ERR_TIMEOUT
 * and the like with a sentence that names the address. Names are resolved in the pool, all
 * addresses are tried in order. On failure the owner still frees the stream. `address` is borrowed
 * for the call.
 */
struct stream *stream_connect(struct loop *loop, const struct stream_address *address,
                              void (*on_connect)(struct stream *, int rc, const char *text, void *),
                              stream_event_cb *on_event, void *ctx);

/*
 * The loop's TLS connections trust the authorities in this file (PEM), too. Blocks; the text names
 * the file. Before the loop runs.
 */
int stream_trust_file(struct loop *loop, const char *path, struct err *err) must_check;

/* Which events are wanted from now on; 0 pauses. Level-triggered. */
void stream_want(struct stream *stream, unsigned events);

/* Hands the stream to another owner: its events go to these from now on. */
void stream_set_owner(struct stream *stream, stream_event_cb *on_event, void *ctx);

/* Bytes read, 0 at the end, -EAGAIN, -ECONNRESET, ... */
ssize_t stream_read(struct stream *stream, void *data, size_t n);

/* Bytes written (may be fewer), -EAGAIN, -EPIPE, ... Never raises SIGPIPE. */
ssize_t stream_write(struct stream *stream, const struct iovec *parts, int count);

/* Whether the peer has closed or sent something while the stream was idle: it can't be reused. */
bool stream_is_stale(struct stream *stream);

/* Tells the peer that no more bytes come; it may still send. */
void stream_shutdown(struct stream *stream);

/* The socket; stays the stream's. */
int stream_fd(const struct stream *stream);

/* Closes. NULL is fine. */
void stream_free(struct stream *stream);

/* The same with a reset, so that the peer sees an error and not an end. NULL is fine. */
void stream_reset(struct stream *stream);
