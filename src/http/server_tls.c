/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection gets to TLS: its first byte is looked at, its hello waits for its turn, the
 * handshake goes on as bytes come.
 *
 * A handshake costs a signature (up to milliseconds) and some 40 KiB. Only a few are begun in a
 * turn of the loop, so that a rush of clients doesn't stand in the way of streams; only so many are
 * under way at a time, and one that dawdles gives its place to the next.
 */
#include "base/log.h"
#include "http/server_priv.h"

#include <errno.h>
#include <sys/socket.h>

enum {
    HANDSHAKE_RECORD = 0x16, /* first byte of a TLS client; no HTTP method begins with it */
    HANDSHAKES_PER_TURN = 4,
    HANDSHAKE_YIELD_MS = 1000, /* after so long, others that wait come first */
    FULL_CHECK_MS = 100,
};

void http_server_set_certificate(struct http_server *server, struct certificate *certificate)
{
    struct certificate *former = server->certificate;
    server->certificate = certificate ? certificate_ref(certificate) : NULL;
    certificate_unref(former);
}

static void schedule(struct http_server *server)
{
    if (!list_is_empty(&server->hellos) && !timer_is_armed(&server->handshake_timer))
        timer_start(&server->handshake_timer, 0);
}

void server_tls_leave(struct server_conn *c)
{
    if (c->phase == CONN_HANDSHAKE)
        c->server->handshake_count--;
    list_remove(&c->hello);
    schedule(c->server);
}

void server_tls_on_hello(struct server_conn *c)
{
    char first;
    ssize_t n = recv(stream_fd(c->stream), &first, 1, MSG_PEEK);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        c->failed = true;
    } else if (first != HANDSHAKE_RECORD) {
        server_conn_refuse(c, 400, "this port speaks HTTPS only; use an https:// URL");
    } else {
        server_conn_enter(c, CONN_QUEUED);
        list_add_tail(&c->server->hellos, &c->hello);
        schedule(c->server);
    }
}

void server_tls_step(struct server_conn *c)
{
    struct err err = {0};
    int rc = stream_handshake(c->stream, &err);
    if (rc == 0) {
        server_tls_leave(c);
        server_conn_enter(c, CONN_HEAD);
    } else if (rc != -EAGAIN) {
        log_debug("http", "TLS handshake with %s failed: %s", c->peer, err.text);
        c->failed = true;
    }
}

static void start(struct server_conn *c)
{
    struct http_server *server = c->server;
    struct err err = {0};
    list_remove(&c->hello);
    server_conn_enter(c, CONN_HANDSHAKE);
    list_add_tail(&server->handshakes, &c->hello);
    server->handshake_count++;
    /* Without a certificate by now (it was taken away), there is nothing to talk with. */
    if (server->certificate && stream_start_tls(c->stream, server->certificate, &err) == 0)
        server_tls_step(c);
    else
        c->failed = true;
    server_conn_settle(c);
}

/* Whether another handshake may begin; ends the oldest one when that has had its time. */
static bool make_room(struct http_server *server)
{
    if (server->handshake_count < HTTP_HANDSHAKES_MAX)
        return true;
    struct server_conn *oldest = LIST_FIRST(&server->handshakes, struct server_conn, hello);
    if (loop_now_ms(server->loop) - oldest->since_ms < HANDSHAKE_YIELD_MS)
        return false;
    oldest->failed = true;
    server_conn_settle(oldest);
    return true;
}

void server_tls_start_some(struct timer *timer, void *ctx)
{
    struct http_server *server = ctx;
    int64_t pause_ms = 0;
    for (int i = 0; i < HANDSHAKES_PER_TURN && pause_ms == 0; i++) {
        struct server_conn *next = LIST_FIRST(&server->hellos, struct server_conn, hello);
        if (next && make_room(server))
            start(next);
        else
            pause_ms = FULL_CHECK_MS;
    }
    if (!list_is_empty(&server->hellos))
        timer_start(timer, pause_ms);
}
