/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness: waits until a port of this machine takes connections, and tells the service manager
 * (sd_notify(3) protocol, one datagram to $NOTIFY_SOCKET). One loop's thread.
 */
#pragma once

#include "io/loop.h"

struct ready {
    struct loop *loop;
    const char *host; /* numeric; borrowed */
    unsigned port;
    void (*cb)(void *ctx);
    void *ctx;
    struct timer retry;
    struct watch *watch; /* of the attempt under way */
    int fd;
};

/* cb() comes once, when the port answers. */
void ready_wait(struct ready *ready, struct loop *loop, const char *host, unsigned port,
                void (*cb)(void *ctx), void *ctx);

/* Ends the waiting, if it still goes on. */
void ready_stop(struct ready *ready);

/* Sends `text` ("READY=1") when there is somebody to tell. */
void ready_notify(const char *text);
