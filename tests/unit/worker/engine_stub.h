/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test program that is its own engine: <bin_dir>/llama.cpp_1.0/llama-server is a link to it, and
 * started by that name it serves (or fails) as $STUB says:
 *
 *     serve   200 to every request on --port, with the request's target and token in the body
 *     crash   says why and exits with status 3
 *     memory  says that its device has no memory left and exits with status 1
 *     taken   says that its port is taken and exits with status 1
 *     deaf    does nothing, for ever
 *     stubborn  says "stubborn", and doesn't end when it is asked to
 *
 * Ranks above 0 of a gang are the same program by another name, <bin_dir>/.../ggml-rpc-server.
 */
#pragma once

#include "base/mem.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <libgen.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static inline void engine_stub_install(const char *bin_dir)
{
    auto_free char *dir = mem_printf("%s/llama.cpp_1.0", bin_dir);
    auto_free char *program = mem_printf("%s/llama-server", dir);
    auto_free char *rank_program = mem_printf("%s/ggml-rpc-server", dir);
    char self[4096] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || mkdir(bin_dir, 0755) < 0 ||
        mkdir(dir, 0755) < 0 || symlink(self, program) < 0 || symlink(self, rank_program) < 0)
        abort();
}

static inline bool engine_stub_is_meant(char **argv)
{
    const char *name = basename(argv[0]);
    return strcmp(name, "llama-server") == 0 || strcmp(name, "ggml-rpc-server") == 0;
}

static inline void engine_stub_answer(int client)
{
    char request[8192];
    ssize_t n = read(client, request, sizeof request - 1);
    if (n <= 0)
        return;
    request[n] = '\0';
    char *target = strchr(request, ' ') + 1;
    const char *token = strcasestr(target, "Authorization: ");
    int token_length = token ? (int)strcspn(token, "\r") : 0;
    const char *leak = strcasestr(target, "x-gpustack-") ? " and more than it should see" : "";
    auto_free char *body = mem_printf("%.*s %.*s%s", (int)strcspn(target, " "), target,
                                      token_length, token ? token : "", leak);
    dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            strlen(body), body);
}

static inline int engine_stub_serve(int64_t port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        return 4;
    printf("serving\n");
    fflush(stdout);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        engine_stub_answer(client);
        close(client);
    }
}

static inline int engine_stub_main(int argc, char **argv)
{
    const char *mode = getenv("STUB");
    int64_t port = 0;
    alarm(60); /* never outlives a test that was cut short for long */
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--port") == 0)
            (void)!num_parse_i64(str_of(argv[i + 1]), 1, 65535, &port);
    if (!mode || strcmp(mode, "serve") == 0)
        return engine_stub_serve(port);
    if (strcmp(mode, "crash") == 0) {
        printf("loading\nerror: it is only a stub\nbye\n");
        return 3;
    }
    if (strcmp(mode, "memory") == 0 || strcmp(mode, "taken") == 0) {
        printf("%s\n",
               *mode == 'm' ? "cudaMalloc failed: out of memory" : "Address already in use");
        return 1;
    }
    if (strcmp(mode, "stubborn") == 0) {
        const struct sigaction ignored = {.sa_handler = SIG_IGN};
        sigaction(SIGTERM, &ignored, NULL);
        printf("stubborn\n");
        fflush(stdout);
    }
    for (;;)
        pause();
}
