/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit per minute as a virtual clock (GCRA): what is taken moves the clock on by its share of a
 * minute, time catches up, and the clock may be one minute ahead. So after a minute of silence the
 * whole limit passes at once, and what is above it passes as fast as time goes by.
 *
 * One atomic word, zero at first; any thread. A limit that is changed takes over the share of the
 * minute that is used, so nobody waits longer than a minute for it. With up to RATE_EXACT_MAX a
 * minute exactly N single ones pass at once; above, one in 10,000 more.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RATE_EXACT_MAX = 990000 };

struct rate {
    _Atomic int64_t clock; /* ticks of the monotonic clock's time */
};

/* What was taken; to be given back. */
struct rate_hold {
    int64_t limit; /* a minute, at that time; 0: nothing was taken */
    int64_t end;   /* the clock behind it */
    int64_t cost;  /* ticks by which it moved the clock */
};

/*
 * Takes `n` (0 to `limit`) of `limit` a minute. When there isn't enough left nothing is taken and
 * `*ret_wait_us` says after what time the same would pass if nobody else comes. `now_us` is
 * monotonic.
 */
bool rate_take(struct rate *rate, int64_t limit, int64_t n, int64_t now_us, struct rate_hold *ret,
               int64_t *ret_wait_us);

/* Undoes a rate_take() of a moment ago, for a request that was refused by something else. */
void rate_undo(struct rate *rate, const struct rate_hold *hold);

/*
 * Instead of what `hold` took it became `used`. More: the clock moves on, to at most two
 * minutes ahead: nobody is shut out for longer than a minute by a count that was guessed too low.
 * Less: the clock goes back by the difference, as far as the place that was taken still lies ahead
 * of the time: what time has caught up with is passed and isn't handed out a second time.
 */
void rate_settle(struct rate *rate, const struct rate_hold *hold, int64_t used, int64_t now_us);

/* How many would pass now. */
int64_t rate_remaining(const struct rate *rate, int64_t limit, int64_t now_us);

/* When all of the limit will be there again, from now on. */
int64_t rate_reset_us(const struct rate *rate, int64_t now_us);
