/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/rate.h"

/*
 * N single ones cost N * floor(MINUTE / N) and the next one must be above a MINUTE: that holds up
 * to N = sqrt(MINUTE). Ticks of 61 ps make it RATE_EXACT_MAX, and the word lasts for 17 years.
 */
#define TICKS_PER_US INT64_C(16384)
#define MINUTE (INT64_C(60000000) * TICKS_PER_US)

_Static_assert((int64_t)RATE_EXACT_MAX *RATE_EXACT_MAX < MINUTE, "ticks are too long");

/* floor(n * MINUTE / limit) without an overflow, at most two minutes. */
static int64_t cost_of(int64_t n, int64_t limit)
{
    if (n >= 2 * limit)
        return 2 * MINUTE;
    if (n == 1)
        return MINUTE / limit;
    return n * (MINUTE / limit) + n * (MINUTE % limit) / limit;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool rate_take(struct rate *rate, int64_t limit, int64_t n, int64_t now_us, struct rate_hold *ret,
               int64_t *ret_wait_us)
{
    int64_t now = now_us * TICKS_PER_US, cost = cost_of(n, limit);
    int64_t seen = atomic_load_explicit(&rate->clock, memory_order_relaxed), end;
    do {
        end = later(seen, now) + cost;
        if (end - now > MINUTE) {
            *ret_wait_us = (end - now - MINUTE + TICKS_PER_US - 1) / TICKS_PER_US;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&rate->clock, &seen, end, memory_order_relaxed,
                                                    memory_order_relaxed));
    *ret = (struct rate_hold){.limit = limit, .end = end, .cost = cost};
    return true;
}

void rate_undo(struct rate *rate, const struct rate_hold *hold)
{
    if (hold->limit)
        atomic_fetch_sub_explicit(&rate->clock, hold->cost, memory_order_relaxed);
}

static void move_on(struct rate *rate, int64_t more, int64_t now)
{
    int64_t seen = atomic_load_explicit(&rate->clock, memory_order_relaxed), next;
    do {
        next = later(seen, earlier(later(seen, now) + more, now + 2 * MINUTE));
    } while (!atomic_compare_exchange_weak_explicit(&rate->clock, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void rate_settle(struct rate *rate, const struct rate_hold *hold, int64_t used, int64_t now_us)
{
    if (!hold->limit)
        return;
    int64_t now = now_us * TICKS_PER_US;
    int64_t more = cost_of(used, hold->limit) - hold->cost;
    if (more > 0)
        move_on(rate, more, now);
    else if (more < 0 && hold->end > now)
        atomic_fetch_sub_explicit(&rate->clock, earlier(-more, hold->end - now),
                                  memory_order_relaxed);
}

int64_t rate_remaining(const struct rate *rate, int64_t limit, int64_t now_us)
{
    int64_t now = now_us * TICKS_PER_US;
    int64_t seen = atomic_load_explicit(&rate->clock, memory_order_relaxed);
    int64_t left = MINUTE - (later(seen, now) - now);
    if (left <= 0)
        return 0;
    /* The quotient is right to a millionth, so one of these is the last that is affordable. */
    int64_t n = (int64_t)((double)left * (double)limit / (double)MINUTE) + 1;
    while (cost_of(n, limit) > left)
        n--;
    return n;
}

int64_t rate_reset_us(const struct rate *rate, int64_t now_us)
{
    int64_t seen = atomic_load_explicit(&rate->clock, memory_order_relaxed);
    int64_t ahead = seen - now_us * TICKS_PER_US;
    return ahead <= 0 ? 0 : (ahead + TICKS_PER_US - 1) / TICKS_PER_US;
}
