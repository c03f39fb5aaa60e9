/* SPDX-License-Identifier: Apache-2.0 */
#include "io/resolve_priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

struct resolve {
    char *host; /* owned */
    unsigned port;
    resolve_cb *cb; /* NULL once cancelled */
    void *ctx;
    struct addrinfo *list; /* result */
    int code;              /* of getaddrinfo() */
    int system_error;      /* errno with EAI_SYSTEM */
};

static int look_up(const char *host, unsigned port, int flags, struct addrinfo **ret)
{
    char service[16];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, service, &hints, ret);
}

static void work(void *arg)
{
    struct resolve *resolve = arg;
    resolve->code = look_up(resolve->host, resolve->port, 0, &resolve->list);
    resolve->system_error = errno;
}

static void resolve_free(struct resolve *resolve)
{
    if (resolve->list)
        freeaddrinfo(resolve->list);
    free(resolve->host);
    free(resolve);
}

static void done(void *arg)
{
    struct resolve *resolve = arg;
    struct err err = {0};
    int rc = 0;
    if (resolve->code == EAI_SYSTEM)
        rc = err_errno(&err, resolve->system_error, "can't resolve %s", resolve->host);
    else if (resolve->code)
        rc = err_set(&err, -EHOSTUNREACH, "can't resolve %s: %s", resolve->host,
                     gai_strerror(resolve->code));
    if (resolve->cb)
        resolve->cb(rc, rc < 0 ? NULL : TAKE(resolve->list), &err, resolve->ctx);
    resolve_free(resolve);
}

struct resolve *resolve_start(struct loop *loop, const char *host, unsigned port, resolve_cb *cb,
                              void *ctx)
{
    struct resolve *resolve = mem_alloc(sizeof *resolve);
    *resolve = (struct resolve){.host = mem_strdup(host), .port = port, .cb = cb, .ctx = ctx};
    loop_work(loop, work, done, resolve);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve)
        resolve->cb = NULL;
}

struct addrinfo *resolve_numeric(const char *host, unsigned port)
{
    struct addrinfo *list = NULL;
    return look_up(host, port, AI_NUMERICHOST, &list) == 0 ? list : NULL;
}
