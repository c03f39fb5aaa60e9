/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on a connected, non-blocking socket that the stream owns, either side. OpenSSL is first
 * touched by the first of a loop. One loop's thread.
 */
#pragma once

#include "io/certificate.h"
#include "io/loop.h"

#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;

struct tls {
    struct ssl_st *ssl;    /* owned */
    bool read_wants_write; /* the last read can go on only when the socket is writable */
    bool write_wants_read; /* the last write can go on only when there is something to read */
    struct timer more;     /* for the stream: tells of bytes that are decrypted already */
};

/*
 * Client side. The certificate must be for `host`, a name or an address. Returns owned, or NULL
 * with a text.
 */
struct tls *tls_new(struct loop *loop, int fd, const char *host, struct err *err);

/* Server side, with this certificate. As tls_new(). */
struct tls *tls_new_server(int fd, const struct certificate *certificate, struct err *err);

/* 0 when done, -EAGAIN with the events to wait for, or ERR_PROTOCOL with OpenSSL's reason. */
int tls_handshake(struct tls *tls, unsigned *ret_events, struct err *err) must_check;

/* As read(2) and writev(2), with -errno. An end without TLS's own goodbye is -ECONNRESET. */
ssize_t tls_read(struct tls *tls, void *data, size_t n);
ssize_t tls_write(struct tls *tls, const struct iovec *parts, int count);

/* Whether bytes are there that the socket no longer shows. */
bool tls_has_bytes(const struct tls *tls);

/* Whether the peer has closed or sent something. */
bool tls_is_stale(struct tls *tls);

/* Tells the peer that no more bytes come, if that works at once. */
void tls_say_goodbye(struct tls *tls);

/* No goodbye is said at the end. */
void tls_be_rude(struct tls *tls);

/* Says goodbye if that works at once and frees; the socket stays open. NULL is fine. */
void tls_free(struct tls *tls);

/* Frees what the loop keeps for all its TLS connections. */
void tls_forget_settings(struct loop *loop);
