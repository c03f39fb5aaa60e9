/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen bytes compared at once, for the scanners of text. Pure. */
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LANES = 16 };

/* A vector is only to be had by a typedef, hence the departure from STYLE.md. */
typedef uint8_t lanes __attribute__((vector_size(LANES)));

static inline lanes lanes_load(const char *p)
{
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A bit for each lane of the mask that is 0xff; the others are 0. */
static inline unsigned lanes_bits(lanes mask)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8((__m128i)mask);
#else
    /* Of lane N keep bit N; the product's top byte then has the eight of them side by side. */
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lane 0 is the lowest byte");
    static const uint64_t diagonal = 0x8040201008040201, ones = 0x0101010101010101;
    uint64_t half[2];
    memcpy(half, &mask, sizeof half);
    return (unsigned)((half[0] & diagonal) * ones >> 56) |
           (unsigned)((half[1] & diagonal) * ones >> 56) << 8;
#endif
}
