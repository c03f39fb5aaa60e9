/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to addresses, in the pool of threads. One loop's thread. */
#pragma once

#include "io/loop.h"

#include <netdb.h>

struct resolve;

/* `list` is the receiver's, for freeaddrinfo(); NULL when `rc` < 0, with a text in `err`. */
typedef void resolve_cb(int rc, struct addrinfo *list, const struct err *err, void *ctx);

/* Never calls back from inside. Owns itself until it has called back or was cancelled. */
struct resolve *resolve_start(struct loop *loop, const char *host, unsigned port, resolve_cb *cb,
                              void *ctx);

/* No callback comes any more. NULL is fine. */
void resolve_cancel(struct resolve *resolve);

/* Without a look-up: an address in text. NULL when `host` is a name. For freeaddrinfo(). */
struct addrinfo *resolve_numeric(const char *host, unsigned port);
