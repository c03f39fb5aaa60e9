/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server does when it has too many connections or the process too few descriptors: those
 * that idle make room for new ones, the longest idle first.
 */
#include "http/server_priv.h"

#include <errno.h>

enum {
    EVICTIONS_AT_ONCE = 16, /* idle connections that are closed for want of descriptors */
    EPISODE_MS = 30000,     /* trouble that comes back within is the same and isn't told again */
};

void http_server_set_connections_max(struct http_server *server, unsigned max)
{
    server->connections_max = max;
}

void http_server_set_on_trouble(struct http_server *server,
                                void (*on_trouble)(const char *text, void *ctx), void *ctx)
{
    server->on_trouble = on_trouble;
    server->trouble_ctx = ctx;
}

void http_server_set_on_count(struct http_server *server, void (*on_count)(int by, void *ctx),
                              void *ctx)
{
    server->on_count = on_count;
    server->count_ctx = ctx;
}

void server_count_conn(struct http_server *server, int by)
{
    server->conn_count += (unsigned)by;
    if (server->on_count)
        server->on_count(by, server->count_ctx);
}

void http_server_count(const struct http_server *server, unsigned *ret_connections,
                       unsigned *ret_idle)
{
    *ret_connections = server->conn_count;
    *ret_idle = server->idle_count;
}

static void tell(struct http_server *server, enum server_trouble kind, const struct err *what)
{
    int64_t now_ms = loop_now_ms(server->loop);
    bool is_new = server->trouble_ms[kind] == 0 || now_ms - server->trouble_ms[kind] > EPISODE_MS;
    server->trouble_ms[kind] = now_ms;
    if (is_new && server->on_trouble)
        server->on_trouble(what->text, server->trouble_ctx);
}

/* Closes the longest idle connections; returns how many. */
static unsigned evict(struct http_server *server, unsigned count)
{
    unsigned closed = 0;
    struct server_conn *oldest;
    while (closed < count && (oldest = LIST_FIRST(&server->idle, struct server_conn, idle))) {
        oldest->failed = true;
        server_conn_settle(oldest);
        closed++;
    }
    return closed;
}

bool server_make_room(struct http_server *server)
{
    if (server->conn_count < server->connections_max || evict(server, 1))
        return true;
    struct err what;
    err_set(&what, ERR_TOO_LARGE,
            "all %u connections that may be open are busy; new ones are refused",
            server->connections_max);
    tell(server, SERVER_FULL, &what);
    return false;
}

void server_on_starved(struct listener *listener, int code, void *ctx)
{
    struct http_server *server = ctx;
    struct err what;
    server->is_starved = true;
    err_set(&what, code,
            "a new connection can't be accepted: %s; %u are open, idle ones are closed for it, "
            "others wait",
            strerrordesc_np(-code), server->conn_count);
    tell(server, SERVER_STARVED, &what);
    (void)evict(server, EVICTIONS_AT_ONCE); /* each of them ends the pause */
}

void server_on_conn_closed(struct http_server *server)
{
    if (!server->is_starved)
        return;
    server->is_starved = false;
    for (unsigned i = 0; i < server->listener_count; i++)
        listener_resume(server->listeners[i]);
}

/* Waits for the first byte of a request or of a handshake. */
static bool is_idle(const struct server_conn *c)
{
    return c->phase == CONN_HELLO || (c->phase == CONN_HEAD && c->in.len == 0);
}

void server_note_idle(struct server_conn *c)
{
    bool is_noted = list_is_linked(&c->idle);
    if (is_idle(c) == is_noted)
        return;
    if (is_noted) {
        list_remove(&c->idle);
        c->server->idle_count--;
    } else {
        list_add_tail(&c->server->idle, &c->idle);
        c->server->idle_count++;
    }
}
