/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of struct stream, shared by stream.c and connect.c. */
#pragma once

#include "io/stream.h"
#include "io/tls_priv.h"

struct connect;

struct stream {
    struct loop *loop;
    int fd;              /* owned; -1 while there is no socket */
    struct watch *watch; /* of fd; NULL while there is none */
    unsigned wanted;     /* by the owner */
    stream_event_cb *on_event;
    void *ctx;
    struct tls *tls;         /* NULL in the clear */
    struct connect *connect; /* until the owner was told how connecting went */
};

/* What every TCP socket of ours has, accepted or connecting. */
void stream_set_options(int fd);

/* What those have that were accepted; set on the listening socket. */
void stream_set_accepted_options(int fd);

/* The socket is ready; the watch's callback. `ctx` is the stream. */
void stream_on_ready(struct watch *watch, unsigned events, void *ctx);

/* Brings the watch in line with what is wanted. */
void stream_update(struct stream *stream);

/* Owner's callback for bytes that TLS has decrypted already. `ctx` is the stream. */
void stream_on_more(struct timer *timer, void *ctx);

/* Closes the socket, if any, and what hangs on it. */
void stream_close_socket(struct stream *stream);

/* The socket is ready and `stream->connect` is set. */
void connect_on_ready(struct stream *stream);

/* Gives up connecting, without a callback. NULL is fine. */
void connect_free(struct connect *connect);
