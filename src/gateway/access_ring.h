/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items on their way from one thread to another: a ring of bytes, lock-free. An item that doesn't
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
    _Atomic uint64_t dropped;            /* items */
    _Alignas(64) _Atomic uint64_t taken; /* bytes ever taken; the taking side's */
};

/* On a zeroed one; fini leaves a zeroed pointer. */
void access_ring_init(struct access_ring *ring);
void access_ring_fini(struct access_ring *ring);

/* Puts `parts` behind each other, all or nothing. False when they were dropped. */
bool access_ring_put(struct access_ring *ring, const struct str parts[], unsigned count);

/* Bytes that can be taken. */
size_t access_ring_ready(const struct access_ring *ring);

/* Takes `n` bytes, which must be ready. */
void access_ring_take(struct access_ring *ring, void *to, size_t n);
