/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on a port, found in /proc. Blocks; for the text of an error at start-up. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct port_owner {
    pid_t pid;
    char program[64]; /* name as in /proc/PID/comm */
};

/* False when nobody listens there or /proc doesn't tell (a process of another user's). */
bool port_owner_find(unsigned port, struct port_owner *ret);

/* Name of a program, "unknown" when /proc doesn't tell. */
void port_owner_name(pid_t pid, char *ret, size_t size);
