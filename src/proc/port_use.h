/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a TCP port of this machine, as the kernel tells in /proc/net/tcp and tcp6 (proc(5)).
 * Nothing is sent to the program behind the port, so it may speak whatever it likes. No state.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct port_use {
    unsigned listeners;
    unsigned connections; /* established ones that were accepted on the port, read or not */
};

/* Adds up what a table in the format of /proc/net/tcp tells of `port`. */
void port_use_parse(struct str table, unsigned port, struct port_use *ret);

/*
 * Reads it. Blocks while the kernel walks all its sockets, which takes tens of milliseconds where
 * there are a hundred thousand: for a pool thread. -errno, ERR_TOO_LARGE.
 */
int port_use_read(unsigned port, struct port_use *ret) must_check;
