/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as an interface, so that decision code runs under a virtual clock.
 *
 * Monotonic milliseconds for intervals and deadlines; wall-clock milliseconds since 1970 (UTC) for
 * what a person reads. Only `app` and the tests make a clock; all else is handed one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct clock {
    int64_t (*mono_ms)(void *ctx); /* never goes back */
    int64_t (*wall_ms)(void *ctx); /* may jump */
    void *ctx;
    int64_t (*mono_us)(void *ctx); /* the same as mono_ms but finer; NULL: only as fine */
};

/* The machine's clock. */
extern const struct clock clock_system;

static inline int64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock->ctx);
}

static inline int64_t clock_mono_us(const struct clock *clock)
{
    return clock->mono_us ? clock->mono_us(clock->ctx) : clock->mono_ms(clock->ctx) * 1000;
}

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->ctx);
}

enum { CLOCK_TEXT_MAX = 32 };

/* ISO 8601 in UTC with milliseconds: "2026-11-23T20:54:01.123Z". Writes at most CLOCK_TEXT_MAX. */
void clock_format(int64_t wall_ms, char text[CLOCK_TEXT_MAX]);
