/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"
#include "lib/engine/engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { BACKLOG = 4096 };

struct arguments {
    const char *host;
    int64_t port;
};

/* xorshift64: as good as needed, and the same in each run. */
uint64_t engine_random(struct engine *engine, uint64_t limit)
{
    uint64_t x = engine->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    engine->random = x;
    return limit ? x % limit : 0;
}

static void on_connection(struct poll_watch *watch, uint32_t events)
{
    struct engine *engine = CONTAINER_OF(watch, struct engine, listener);
    for (;;) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        conn_accept(engine, fd);
    }
}

/* ---- start ---- */

static int read_default(struct engine *engine, const char *text)
{
    struct err err = {0};
    if (script_read(str_of(text), &engine->initial, &err) == 0)
        return 0;
    fprintf(stderr, "scripted-engine: %s\n", err.text);
    return -1;
}

/* What it doesn't know is llama-server's. */
static int read_arguments(struct engine *engine, int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.host = "127.0.0.1"};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        int rc = 0;
        if (strcmp(argv[i], "--quiet") == 0)
            engine->log.is_on = false;
        else if (strcmp(argv[i], "--host") == 0)
            ret->host = value;
        else if (strcmp(argv[i], "--alias") == 0)
            engine->alias = value;
        else if (strcmp(argv[i], "--port") == 0)
            rc = num_parse_i64(str_of(value), 0, 65535, &ret->port);
        else if (strcmp(argv[i], "--default") == 0)
            rc = read_default(engine, value);
        if (rc < 0) {
            fprintf(stderr, "scripted-engine: wrong value of %s\n", argv[i]);
            return -1;
        }
    }
    return 0;
}

static int listen_on(struct engine *engine, const struct arguments *arguments)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)arguments->port)};
    socklen_t len = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (inet_pton(AF_INET, arguments->host, &address.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        fprintf(stderr, "scripted-engine: can't listen on %s port %d: %s\n", arguments->host,
                (int)arguments->port, strerror(errno));
        return -1;
    }
    poller_watch(&engine->poller, &engine->listener, fd, EPOLLIN, on_connection);
    printf("port %u\n", ntohs(address.sin_port));
    return fflush(stdout);
}

int main(int argc, char **argv)
{
    struct engine *engine = mem_alloc(sizeof *engine);
    struct arguments arguments;
    engine->initial = script_initial;
    engine->log.is_on = true;
    engine->alias = "scripted";
    engine->created = time(NULL);
    engine->random = 88172645463325252;
    poller_init(&engine->poller);
    if (read_arguments(engine, argc, argv, &arguments) < 0 || listen_on(engine, &arguments) < 0)
        return 2;
    engine->script = engine->initial;
    poller_run(&engine->poller);
    return 0;
}
