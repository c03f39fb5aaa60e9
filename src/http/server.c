/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include "http/server_priv.h"

#include <assert.h>

struct http_server *http_server_new(struct loop *loop, http_request_cb *on_request, void *ctx)
{
    struct http_server *server = mem_alloc(sizeof(*server));
    server->loop = loop;
    server->on_request = on_request;
    server->ctx = ctx;
    list_init(&server->conns);
    list_init(&server->touched);
    list_init(&server->idle);
    server->connections_max = HTTP_CONNECTIONS_MAX;
    list_init(&server->hellos);
    list_init(&server->handshakes);
    timer_init(&server->handshake_timer, loop, server_tls_start_some, server);
    return server;
}

static void on_accept(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                      void *ctx)
{
    struct http_server *server = ctx;
    if (server_make_room(server))
        server_conn_new(server, fd, peer, peer_uid);
    else
        close(fd);
}

static void add_listener(struct http_server *server, struct listener *listener)
{
    listener_set_on_starved(listener, server_on_starved);
    server->listeners[server->listener_count++] = listener;
}

int http_server_listen_tcp(struct http_server *server, const char *host, unsigned port,
                           bool reuse_port, struct err *err)
{
    assert(server->listener_count < CONN_LISTENERS_MAX);
    struct listener *listener;
    unsigned got;
    int rc =
        listener_tcp(server->loop, host, port, reuse_port, on_accept, server, &listener, &got, err);
    if (rc < 0)
        return rc;
    add_listener(server, listener);
    return (int)got;
}

int http_server_listen_unix(struct http_server *server, const char *path, struct err *err)
{
    assert(server->listener_count < CONN_LISTENERS_MAX);
    struct listener *listener;
    int rc = listener_unix(server->loop, path, on_accept, server, &listener, err);
    if (rc < 0)
        return rc;
    add_listener(server, listener);
    return 0;
}

unsigned http_server_active(const struct http_server *server)
{
    return server->active;
}

static void close_listeners(struct http_server *server)
{
    while (server->listener_count)
        listener_free(server->listeners[--server->listener_count]);
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
    close_listeners(server);
    LIST_FOR_EACH (struct server_conn, conn, &server->conns, node)
        if (conn->phase == CONN_HEAD)
            server_conn_touch(conn);
}

static void server_release(struct http_server *server)
{
    server_spares_fini(&server->spares);
    free(server);
}

/* Settles what handlers' calls have touched in this turn. */
static void sweep(void *arg)
{
    struct http_server *server = arg;
    struct server_conn *conn;
    while ((conn = LIST_FIRST(&server->touched, struct server_conn, touched)))
        server_conn_settle(conn);
    server->sweep_due = false;
    if (server->freed)
        server_release(server);
}

void server_conn_touch(struct server_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->settling || list_is_linked(&conn->touched))
        return;
    list_add_tail(&server->touched, &conn->touched);
    if (server->sweep_due)
        return;
    server->sweep_due = true;
    loop_defer(server->loop, sweep, server);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    close_listeners(server);
    struct server_conn *conn;
    while ((conn = LIST_FIRST(&server->conns, struct server_conn, node))) {
        conn->failed = true;
        server_conn_settle(conn);
    }
    timer_stop(&server->handshake_timer);
    certificate_unref(TAKE(server->certificate));
    server->freed = true;
    if (!server->sweep_due)
        server_release(server);
}
