/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports for engines, from the service port range, in blocks of neighbours. A port is free when no
 * engine's record has it and a bind to 127.0.0.1 and to all addresses works at this moment; who
 * holds it afterwards is the record. One thread.
 */
#pragma once

#include "domain/record.h"

enum { PORT_BLOCK_MAX = 16 };

struct port_range {
    int64_t first, last; /* both inclusive, 1-65535 */
};

/*
 * The first port of a block of `count` (1 to PORT_BLOCK_MAX) free ones of `range` that aren't in
 * `taken`, beginning behind `after` (0: at the front) and going round once, so that a block that
 * was just given up isn't handed out at once. ERR_UNAVAILABLE.
 */
int ports_reserve(struct port_range range, unsigned count, const struct int_list *taken,
                  int64_t after, struct err *err) must_check;

/* Whether a program could listen on the port now, on loopback and on all addresses. */
bool port_is_free(int64_t port);
