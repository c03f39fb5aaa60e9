/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of files by ranges on a thread of its own, for tests of what blocks. The first part of a
 * request's path says how it misbehaves:
 *
 *     /good/...       206 with what the header Range says
 *     /hop/N/...      302 to /hop/N-1/..., at 0 to /good/...
 *     /away/...       302 to /good/... of the server at `away_port`
 *     /tls/...        302 to https on a port where nobody is
 *     /full/...       200 with all of the file
 *     /chunked/...    the same, without a length
 *     /status/N/...   that status
 *     /once/N/...     that status to the first request (1: a body that breaks off, 2: no answer),
 *                     then as /good
 *     /silent/...     nothing, ever
 *     /wrong, /long, /short, /less, /other, /gzip   206 that doesn't keep to the request
 *
 * Files are found by the last part of the path. What stands in `pages` is sent whole.
 */
#pragma once

#include "base/buf.h"
#include "hub/content_range.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

enum { RANGE_CONNS_MAX = 16, RANGE_FILES_MAX = 4 };

struct range_file {
    const char *name;
    struct str content;
    uint64_t claimed; /* size that is told: zeros follow the content; 0: the content's */
};

struct range_page {
    const char *path; /* with its query */
    const char *headers;
    const char *body;
};

struct range_server {
    pthread_t thread;
    int listener;
    int conns[RANGE_CONNS_MAX]; /* -1: free */
    struct buf inputs[RANGE_CONNS_MAX];
    unsigned port, away_port;
    struct range_file files[RANGE_FILES_MAX];
    const struct range_page *pages; /* ends with a path of NULL */
    pthread_mutex_t lock;           /* of what follows */
    struct buf seen;                /* requests, one behind the other */
    unsigned requests;
    uint64_t sent; /* bytes of bodies */
};

static inline void range_send(struct range_server *server, int fd, struct str data, bool is_body)
{
    while (data.len) {
        const ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        pthread_mutex_lock(&server->lock);
        server->sent += is_body ? (uint64_t)n : 0;
        pthread_mutex_unlock(&server->lock);
        data = str_skip(data, (size_t)n);
    }
}

static inline void range_reply(struct range_server *server, int fd, const char *head,
                               struct str body)
{
    range_send(server, fd, str_of(head), false);
    range_send(server, fd, body, true);
}

static inline void range_partial(struct range_server *server, int fd, const char *mode,
                                 const struct range_file *file, unsigned long long first,
                                 unsigned long long last)
{
    const unsigned long long total = file->claimed ? file->claimed : file->content.len;
    last = last < total ? last : total - 1;
    last -= strcmp(mode, "less") == 0;
    const unsigned long long moved = strcmp(mode, "wrong") == 0;
    unsigned long long length = last - first + 1;
    const char *extra = strcmp(mode, "gzip") == 0 ? "Content-Encoding: gzip\r\n" : "";
    length += strcmp(mode, "long") == 0 ? 1 : 0;
    length -= strcmp(mode, "short") == 0 ? 1 : 0;
    struct str body = str_skip(file->content, (size_t)first);
    body.len = body.len < length ? body.len : (size_t)length;
    auto_free char *head =
        mem_printf("HTTP/1.1 206 Partial Content\r\n%sContent-Range: bytes %llu-%llu/%llu\r\n"
                   "Content-Length: %llu\r\n\r\n",
                   extra, first + moved, last + moved,
                   total + moved + (strcmp(mode, "other") == 0 && first > 0), length);
    range_reply(server, fd, head, body);
    if (!file->claimed)
        return;
    auto_free char *zeros = mem_alloc(length - body.len + 1);
    range_send(server, fd, str_sub(zeros, length - body.len), true);
}

static inline void range_serve(struct range_server *server, int fd, const char *mode,
                               const struct range_file *file, const char *request)
{
    unsigned long long first = 0, last = UINT32_MAX;
    const char *range = strstr(request, "\r\nRange: bytes=");
    if (range)
        sscanf(range, "\r\nRange: bytes=%llu-%llu", &first, &last);
    if (strcmp(mode, "full") == 0 || !range) {
        auto_free char *head = mem_printf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                                          file->content.len);
        range_reply(server, fd, head, file->content);
    } else if (strcmp(mode, "chunked") == 0) {
        range_reply(server, fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                    STR("1\r\nx\r\n0\r\n\r\n"));
    } else {
        range_partial(server, fd, mode, file, first, last);
    }
}

static inline void range_redirect(struct range_server *server, int fd, const char *path,
                                  const char *mode, int hops)
{
    const char *name = strrchr(path, '/') + 1;
    auto_free char *location =
        strcmp(mode, "away") == 0
            ? mem_printf("http://127.0.0.1:%u/good/%s?signature=secret", server->away_port, name)
        : strcmp(mode, "tls") == 0 ? mem_printf("https://127.0.0.1:1/good/%s", name)
        : hops > 0 ? mem_printf("/hop/%d/%s", hops - 1, name)
                   : mem_printf("/good/%s", name);
    auto_free char *head = mem_printf(
        "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", location);
    range_reply(server, fd, head, (struct str){0});
}

static inline void range_answer(struct range_server *server, int fd, const char *request)
{
    char path[256] = "", mode[32] = "";
    int number = 0;
    sscanf(request, "GET %255s", path);
    sscanf(path, "/%31[^/]/%d", mode, &number);
    if (strcmp(mode, "silent") == 0)
        return;
    for (const struct range_page *page = server->pages; page && page->path; page++) {
        if (strcmp(path, page->path) != 0)
            continue;
        auto_free char *head = mem_printf("HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n",
                                          page->headers, strlen(page->body));
        range_reply(server, fd, head, str_of(page->body));
        return;
    }
    path[strcspn(path, "?")] = '\0';
    const struct range_file *file = server->files;
    while (file->name && strcmp(file->name, strrchr(path, '/') + 1) != 0)
        file++;
    if (strcmp(mode, "once") == 0 && server->requests == 1 && number <= 2) {
        if (number == 1)
            range_reply(server, fd,
                        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-63/64\r\n"
                        "Content-Length: 64\r\n\r\n",
                        STR("GGUF of another time"));
    } else if (strcmp(mode, "status") == 0 || !file->name ||
               (strcmp(mode, "once") == 0 && server->requests == 1)) {
        auto_free char *head = mem_printf("HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n",
                                          file->name ? number : 404);
        range_reply(server, fd, head, (struct str){0});
    } else if (strcmp(mode, "hop") == 0 || strcmp(mode, "away") == 0 ||
               strcmp(mode, "tls") == 0) {
        range_redirect(server, fd, path, mode, number);
    } else {
        range_serve(server, fd, mode, file, request);
    }
}

static inline void range_close(struct range_server *server, int i)
{
    close(server->conns[i]);
    server->conns[i] = -1;
    buf_fini(&server->inputs[i]);
}

/* Answers what a connection has sent, or closes it. */
static inline void range_take(struct range_server *server, int i)
{
    char data[4096];
    struct buf *input = &server->inputs[i];
    const ssize_t n = recv(server->conns[i], data, sizeof data, 0);
    if (n <= 0) {
        range_close(server, i);
        return;
    }
    buf_add(input, data, (size_t)n);
    if (!strstr(input->ptr, "\r\n\r\n"))
        return;
    pthread_mutex_lock(&server->lock);
    server->requests++;
    buf_add_str(&server->seen, buf_str(input));
    pthread_mutex_unlock(&server->lock);
    auto_free char *request = buf_take(input);
    range_answer(server, server->conns[i], request);
    if (server->requests == 1 &&
        (str_has_prefix(str_of(request), STR("GET /once/1/")) ||
         str_has_prefix(str_of(request), STR("GET /once/2/"))))
        range_close(server, i);
}

static inline void *range_run(void *arg)
{
    struct range_server *server = arg;
    for (;;) {
        struct pollfd polled[RANGE_CONNS_MAX + 1];
        for (int i = 0; i < RANGE_CONNS_MAX; i++)
            polled[i] = (struct pollfd){.fd = server->conns[i], .events = POLLIN};
        polled[RANGE_CONNS_MAX] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        poll(polled, RANGE_CONNS_MAX + 1, -1);
        for (int i = 0; i < RANGE_CONNS_MAX; i++)
            if (polled[i].revents)
                range_take(server, i);
        if (!polled[RANGE_CONNS_MAX].revents)
            continue;
        const int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return NULL; /* range_server_stop() shut the listener down */
        int i = 0;
        while (server->conns[i] >= 0)
            i++;
        assert(i < RANGE_CONNS_MAX);
        server->conns[i] = fd;
    }
}

/* Files, pages and away_port are set before. */
static inline void range_server_start(struct range_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(server->listener, (struct sockaddr *)&address, sizeof address);
    rc = rc ? rc : listen(server->listener, 16);
    rc = rc ? rc : getsockname(server->listener, (struct sockaddr *)&address, &size);
    assert(rc == 0);
    server->port = ntohs(address.sin_port);
    for (int i = 0; i < RANGE_CONNS_MAX; i++)
        server->conns[i] = -1;
    pthread_mutex_init(&server->lock, NULL);
    rc = pthread_create(&server->thread, NULL, range_run, server);
    assert(rc == 0);
}

/* After what asks it is gone; then all fields may be read. */
static inline void range_server_stop(struct range_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (int i = 0; i < RANGE_CONNS_MAX; i++) {
        if (server->conns[i] >= 0)
            close(server->conns[i]);
        buf_fini(&server->inputs[i]);
    }
    pthread_mutex_destroy(&server->lock);
}

static inline void range_server_fini(struct range_server *server)
{
    buf_fini(&server->seen);
}
