/* SPDX-License-Identifier: Apache-2.0 */
#include "app/ready.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { RETRY_MS = 100 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(const struct ready *ready, union address *ret)
{
    *ret = (union address){0};
    if (inet_pton(AF_INET, ready->host, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t)ready->port);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons((uint16_t)ready->port);
    inet_pton(AF_INET6, ready->host, &ret->v6.sin6_addr);
    return sizeof ret->v6;
}

static void close_attempt(struct ready *ready)
{
    watch_free(TAKE(ready->watch));
    fd_close_slot(&ready->fd);
    ready->fd = -1;
}

static void on_connected(struct watch *watch, unsigned events, void *ctx)
{
    struct ready *ready = ctx;
    int fault = 0;
    socklen_t size = sizeof fault;
    (void)getsockopt(ready->fd, SOL_SOCKET, SO_ERROR, &fault, &size);
    close_attempt(ready);
    if (fault)
        timer_start(&ready->retry, RETRY_MS);
    else
        ready->cb(ready->ctx);
}

static void attempt(struct timer *timer, void *ctx)
{
    struct ready *ready = ctx;
    union address address;
    socklen_t size = make_address(ready, &address);
    ready->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ready->fd < 0 || (connect(ready->fd, &address.any, size) < 0 && errno != EINPROGRESS)) {
        close_attempt(ready);
        timer_start(&ready->retry, RETRY_MS);
        return;
    }
    ready->watch = watch_new(ready->loop, ready->fd, on_connected, ready);
    watch_set(ready->watch, WATCH_WRITE);
}

void ready_wait(struct ready *ready, struct loop *loop, const char *host, unsigned port,
                void (*cb)(void *ctx), void *ctx)
{
    *ready =
        (struct ready){.loop = loop, .host = host, .port = port, .cb = cb, .ctx = ctx, .fd = -1};
    timer_init(&ready->retry, loop, attempt, ready);
    timer_start(&ready->retry, RETRY_MS);
}

void ready_stop(struct ready *ready)
{
    timer_stop(&ready->retry);
    close_attempt(ready);
}

void ready_notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0) /* a service manager that doesn't listen is its own problem */
        (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
}
