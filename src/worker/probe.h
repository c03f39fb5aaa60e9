/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks an engine again and again whether it serves: GET of its ready path on 127.0.0.1, one request
 * at a time, each with a limit of a second. Embedded in its owner; one loop's thread.
 */
#pragma once

#include "http/client.h"

enum { PROBE_TIMEOUT_MS = 1000 };

struct probe;

/*
 * `text` says what is wrong when it doesn't serve; NULL when it does. The owner may stop the
 * probe.
 */
typedef void probe_cb(struct probe *probe, bool serves, const char *text, void *ctx);

struct probe {
    struct http_pool *pool; /* borrowed */
    struct http_target target;
    char *path;          /* owned; NULL while stopped */
    int64_t interval_ms; /* from an answer to the next request; the owner may change it */
    struct timer timer;
    struct http_call *call; /* NULL: none runs */
    unsigned status;        /* of the answer that is coming */
    probe_cb *cb;
    void *ctx;
};

/* The memory must be zeroed. */
void probe_init(struct probe *probe, struct loop *loop, struct http_pool *pool, probe_cb *cb,
                void *ctx);

/* Asks at once, then at the interval. */
void probe_start(struct probe *probe, unsigned port, const char *path, int64_t interval_ms);

/* No callback comes after; stopped or zeroed is fine. */
void probe_stop(struct probe *probe);
