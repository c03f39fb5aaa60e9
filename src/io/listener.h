/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, TCP and unix. One loop's thread. */
#pragma once

#include "io/loop.h"

struct listener;

/*
 * A new connection: takes `fd` (non-blocking, close-on-exec). `peer` is the numeric address or
 * "unix"; `peer_uid` the user on a unix socket (SO_PEERCRED) or -1.
 */
typedef void listener_accept_cb(struct listener *listener, int fd, const char *peer,
                                int64_t peer_uid, void *ctx);

/*
 * Numeric `host` ("0.0.0.0", "::", "127.0.0.1"), port 0 picks one. On -EADDRINUSE the text says
 * which port and, as far as /proc tells, which pid and program hold it. `ret_port` may be NULL.
 */
int listener_tcp(struct loop *loop, const char *host, unsigned port, bool reuse_port,
                 listener_accept_cb *on_accept, void *ctx, struct listener **ret,
                 unsigned *ret_port, struct err *err) must_check;

/* Mode 0600. A socket file that nobody serves is replaced; a live one is -EADDRINUSE. */
int listener_unix(struct loop *loop, const char *path, listener_accept_cb *on_accept, void *ctx,
                  struct listener **ret, struct err *err) must_check;

/*
 * There are no descriptors or no memory for the next connection: `code` is -EMFILE, -ENFILE,
 * -ENOBUFS or -ENOMEM. Accepting pauses for 100 ms and goes on, sooner with listener_resume().
 */
typedef void listener_starved_cb(struct listener *listener, int code, void *ctx);

/* Optional; `ctx` is the one given before. */
void listener_set_on_starved(struct listener *listener, listener_starved_cb *on_starved);

/* Ends a pause, since descriptors may be free again. Allowed inside the callbacks. */
void listener_resume(struct listener *listener);

/* Closes; a unix socket's file is removed. Allowed inside its own callback. NULL is fine. */
void listener_free(struct listener *listener);
