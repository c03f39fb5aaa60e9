/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine for tests that does as it is told: an HTTP/1.1 server on one thread that answers the
 * inference APIs with made-up content and every fault that engines, proxies and networks have.
 *
 *     scripted-engine --port 0 --default "chunks=50 delay_ms=4"     # prints "port N"
 *
 * script.h has the words of scripts. Beside inference:
 *
 *     GET  /health, /v1/models, /metrics
 *     GET  /script/log         all requests so far: log.h
 *     GET  /script/totals      sums
 *     POST /script/reset       forgets both, the scripts of /script/next, and goes back to the
 *                              command line's default
 *     POST /script/default     the body is a script that changes the default
 *     POST /script/next        a script a line, each for one of the next requests
 *
 * It takes llama-server's arguments (--host, --port, --model, --alias; others are ignored), so that
 * a worker can run it as an engine. --quiet keeps no log: for speed. A client that sends FIN has
 * left.
 */
#pragma once

#include "lib/engine/log.h"
#include "lib/engine/script.h"
#include "lib/net/poller.h"

enum { ENGINE_NEXT_MAX = 1024, ENGINE_READ_BYTES = 256 << 10 };

struct engine {
    struct poller poller;
    struct poll_watch listener;
    struct script initial;         /* of the command line */
    struct script script;          /* the present default */
    struct buf next;               /* lines of /script/next that weren't used yet */
    struct log log;
    const char *alias;             /* of the model */
    int64_t created;               /* seconds since 1970 */
    uint64_t random;               /* state */
    char input[ENGINE_READ_BYTES]; /* what was just read; used up within the turn */
};

/* A number below `limit`; the same row in each process. */
uint64_t engine_random(struct engine *engine, uint64_t limit);

/* The script of a request: default, body's, header's, next. `err` is set when one is malformed. */
void engine_script(struct engine *engine, const struct request *request, struct str in_body,
                   struct script *ret, struct err *err);

/* Whether the path is a page of the engine's own: not counted, not logged. */
bool engine_has_page(struct str path);

/* Answers what isn't inference. False when the path is none of these. */
bool engine_page(struct engine *engine, const struct request *request, int64_t *ret_status,
                 struct buf *ret_body);

/* Takes a connection over. */
void conn_accept(struct engine *engine, int fd);
