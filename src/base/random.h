/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes and words from the kernel. Decision code never calls this; it is handed a source. */
#pragma once

#include <stddef.h>

/* Fills with bytes from getrandom(2); aborts when the kernel has none. May block at early boot. */
void random_bytes(void *out, size_t n);

/* `bytes` random bytes as lower-case hex. Returns owned. */
char *random_hex(size_t bytes);

/* `n` characters drawn evenly from `alphabet` (at most 256 characters). Returns owned. */
char *random_text(size_t n, const char *alphabet);

/* A version 4 UUID in the usual form. Returns owned. */
char *random_uuid(void);

/* Lower-case hex of `n` bytes into `out`, which has room for 2 n + 1. */
void hex_encode(const void *data, size_t n, char *out);
