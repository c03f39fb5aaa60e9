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

/*
 * `put` is stored and loaded in the one order of all threads: who puts looks next whether the other
 * side sleeps, who goes to sleep looks next whether something was put, and one of them must see the
 * other.
 */
bool access_ring_put(struct access_ring *ring, struct str line)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    if (line.len > ACCESS_RING_BYTES - (size_t)(put - taken)) {
        uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
        atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
        return false;
    }
    size_t at = put & (ACCESS_RING_BYTES - 1);
    size_t first = line.len < ACCESS_RING_BYTES - at ? line.len : ACCESS_RING_BYTES - at;
    memcpy(ring->bytes + at, line.ptr, first);
    memcpy(ring->bytes, line.ptr + first, line.len - first);
    atomic_store_explicit(&ring->put, put + line.len, memory_order_seq_cst);
    return true;
}

struct str access_ring_peek(const struct access_ring *ring)
{
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_seq_cst);
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t at = taken & (ACCESS_RING_BYTES - 1), n = (size_t)(put - taken);
    return str_sub(ring->bytes + at, n < ACCESS_RING_BYTES - at ? n : ACCESS_RING_BYTES - at);
}

void access_ring_take(struct access_ring *ring, size_t n)
{
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    atomic_store_explicit(&ring->taken, taken + n, memory_order_release);
}
