/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks again and again at who uses a port (proc/port_use.h), on a pool thread: whether a rank's
 * engine listens, whether requests are under way. Embedded in its owner; one loop's thread.
 */
#pragma once

#include "io/loop.h"
#include "proc/port_use.h"

struct port_watch;

/* `use` is NULL when the kernel doesn't tell. The owner may stop the watch. */
typedef void port_watch_cb(struct port_watch *watch, const struct port_use *use, void *ctx);

struct port_watch {
    struct loop *loop;
    struct timer timer;
    struct port_look *look; /* under way; NULL: none */
    unsigned port;          /* 0: stopped */
    int64_t interval_ms;
    port_watch_cb *cb;
    void *ctx;
};

/* The memory must be zeroed. */
void port_watch_init(struct port_watch *watch, struct loop *loop, port_watch_cb *cb, void *ctx);

/* Looks at once, then at the interval. */
void port_watch_start(struct port_watch *watch, unsigned port, int64_t interval_ms);

/* Between start and stop. */
bool port_watch_runs(const struct port_watch *watch);

/* No callback comes after; stopped or zeroed is fine. */
void port_watch_stop(struct port_watch *watch);
