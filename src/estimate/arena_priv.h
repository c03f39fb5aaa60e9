/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/estimate/ may include this: the allocator that ggml lays a graph's tensors out with,
 * without memory behind it. Its peak is the size of a compute buffer, to the byte: holes that
 * nothing fits into count as well.
 *
 * Best fit among the holes, else at the end; freed blocks join their neighbours. Owned by one call.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    ARENA_HOLES_MAX = 64,
    ARENA_BLOCKS_MAX = 64, /* alive at the same time */
    ARENA_ALIGNMENT = 128, /* CUDA's; processors have 64 */
};

struct arena_block {
    uint64_t offset, bytes;
};

struct arena {
    struct arena_block holes[ARENA_HOLES_MAX]; /* in the order of their offsets */
    size_t hole_count;
    struct arena_block blocks[ARENA_BLOCKS_MAX]; /* a free place has 0 bytes */
    uint64_t end;  /* behind the last block that is in use */
    uint64_t peak; /* highest `end` so far */
};

/* Takes a block; returns its number. */
int arena_take(struct arena *arena, uint64_t bytes);

/* Gives it back. */
void arena_drop(struct arena *arena, int block);

/* Gives all but one back. */
void arena_drop_others(struct arena *arena, int kept);
