/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines on their way from one thread to another: a ring of bytes, lock-free. A line that doesn't
 * fit is dropped whole and counted, so the putting side never waits.
 *
 * One thread puts, one takes.
 */
#pragma once

#include "base/str.h"

#include <stdatomic.h>
#include <stdint.h>

enum { ACCESS_RING_BYTES = 1 << 20 }; /* a power of two */

struct access_ring {
    char *bytes;                         /* owned */
    _Alignas(64) _Atomic uint64_t put;   /* bytes ever put; the putting side's */
    _Atomic uint64_t dropped;            /* lines */
    _Alignas(64) _Atomic uint64_t taken; /* bytes ever taken; the taking side's */
};

/* On a zeroed one; fini leaves a zeroed pointer. */
void access_ring_init(struct access_ring *ring);
void access_ring_fini(struct access_ring *ring);

/* False when the line was dropped. */
bool access_ring_put(struct access_ring *ring, struct str line);

/* What can be taken at once: up to the end of the ring, so there may be more. */
struct str access_ring_peek(const struct access_ring *ring);

/* `n` bytes of what access_ring_peek() gave are done with. */
void access_ring_take(struct access_ring *ring, size_t n);
