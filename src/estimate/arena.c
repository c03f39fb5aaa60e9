/* SPDX-License-Identifier: Apache-2.0 */
#include "estimate/arena_priv.h"

#include <assert.h>
#include <string.h>

static void remove_hole(struct arena *arena, size_t i)
{
    memmove(arena->holes + i, arena->holes + i + 1,
            (--arena->hole_count - i) * sizeof arena->holes[0]);
}

/* Of holes of the same size the last one, as ggml does. */
static int best_hole(const struct arena *arena, uint64_t bytes)
{
    int best = -1;
    for (size_t i = 0; i < arena->hole_count; i++)
        if (arena->holes[i].bytes >= bytes &&
            (best < 0 || arena->holes[i].bytes <= arena->holes[best].bytes))
            best = (int)i;
    return best;
}

static uint64_t find_room(struct arena *arena, uint64_t bytes)
{
    const int i = best_hole(arena, bytes);
    if (i < 0) {
        const uint64_t offset = arena->end;
        arena->end += bytes;
        if (arena->peak < arena->end)
            arena->peak = arena->end;
        return offset;
    }
    struct arena_block *hole = &arena->holes[i];
    const uint64_t offset = hole->offset;
    hole->offset += bytes;
    hole->bytes -= bytes;
    if (hole->bytes == 0)
        remove_hole(arena, (size_t)i);
    return offset;
}

int arena_take(struct arena *arena, uint64_t bytes)
{
    bytes = (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    if (bytes == 0)
        bytes = ARENA_ALIGNMENT;
    for (int i = 0; i < ARENA_BLOCKS_MAX; i++) {
        if (arena->blocks[i].bytes == 0) {
            arena->blocks[i] = (struct arena_block){find_room(arena, bytes), bytes};
            return i;
        }
    }
    assert(!"a graph of at most ARENA_BLOCKS_MAX tensors at a time");
    return -1;
}

/* Puts a hole in its place and joins it with those before and behind it. */
static void add_hole(struct arena *arena, struct arena_block block)
{
    size_t i = 0;
    while (i < arena->hole_count && arena->holes[i].offset < block.offset)
        i++;
    if (i > 0 && arena->holes[i - 1].offset + arena->holes[i - 1].bytes == block.offset) {
        block.offset = arena->holes[i - 1].offset;
        block.bytes += arena->holes[i - 1].bytes;
        remove_hole(arena, --i);
    }
    if (i < arena->hole_count && block.offset + block.bytes == arena->holes[i].offset) {
        block.bytes += arena->holes[i].bytes;
        remove_hole(arena, i);
    }
    if (block.offset + block.bytes == arena->end) {
        arena->end = block.offset;
        return;
    }
    assert(arena->hole_count < ARENA_HOLES_MAX);
    memmove(arena->holes + i + 1, arena->holes + i,
            (arena->hole_count++ - i) * sizeof arena->holes[0]);
    arena->holes[i] = block;
}

void arena_drop(struct arena *arena, int block)
{
    assert(block >= 0 && block < ARENA_BLOCKS_MAX && arena->blocks[block].bytes > 0);
    add_hole(arena, arena->blocks[block]);
    arena->blocks[block].bytes = 0;
}

void arena_drop_others(struct arena *arena, int kept)
{
    for (int i = 0; i < ARENA_BLOCKS_MAX; i++)
        if (i != kept && arena->blocks[i].bytes > 0)
            arena_drop(arena, i);
}
