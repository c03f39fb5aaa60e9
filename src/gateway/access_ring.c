/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/access_ring.h"

#include "base/mem.h"

void access_ring_init(struct access_ring *ring)
{
    ring->bytes = mem_alloc(ACCESS_RING_BYTES);
}

void access_ring_fini(struct access_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

/* Bytes to place `at` of all that were ever put. */
static void copy_in(struct access_ring *ring, uint64_t at, struct str bytes)
{
    size_t place = at & (ACCESS_RING_BYTES - 1), room = ACCESS_RING_BYTES - place;
    size_t first = bytes.len < room ? bytes.len : room;
    if (bytes.len == 0)
        return;
    memcpy(ring->bytes + place, bytes.ptr, first);
    memcpy(ring->bytes, bytes.ptr + first, bytes.len - first);
}

/*
 * `put` is stored and loaded in the one order of all threads: who puts looks next whether the other
 * side sleeps, who goes to sleep looks next whether something was put, and one of them must see the
 * other.
 */
bool access_ring_put(struct access_ring *ring, const struct str parts[], unsigned count)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    size_t all = 0;
    for (unsigned i = 0; i < count; i++)
        all += parts[i].len;
    if (all > ACCESS_RING_BYTES - (size_t)(put - taken)) {
        uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
        atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
        return false;
    }
    for (unsigned i = 0; i < count; put += parts[i++].len)
        copy_in(ring, put, parts[i]);
    atomic_store_explicit(&ring->put, put, memory_order_seq_cst);
    return true;
}

size_t access_ring_ready(const struct access_ring *ring)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_seq_cst);
    return (size_t)(put - atomic_load_explicit(&ring->taken, memory_order_relaxed));
}

void access_ring_take(struct access_ring *ring, void *to, size_t n)
{
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t place = taken & (ACCESS_RING_BYTES - 1), room = ACCESS_RING_BYTES - place;
    size_t first = n < room ? n : room;
    memcpy(to, ring->bytes + place, first);
    memcpy((char *)to + first, ring->bytes, n - first);
    atomic_store_explicit(&ring->taken, taken + n, memory_order_release);
}
