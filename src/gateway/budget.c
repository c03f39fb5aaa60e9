/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/budget.h"

#include <assert.h>

/*
 * period: kind + 1 (0: not in use) in 4 bits, generation in 4, first hour in 28, hour of the end in
 * 28; hours since 1970. All periods begin at full hours. taken: epoch in 16 bits, tokens in 48; the
 * epoch is made of the period's generation and first hour. Who finds a `taken` of another epoch
 * than the period's sets it to 0 of the present one, so a change of period needs no lock.
 */
enum { HOUR_BITS = 28, HOUR_END_NEVER = (1 << HOUR_BITS) - 1, TOKEN_BITS = 48 };

#define HOUR_MS INT64_C(3600000)
#define HOUR_MASK ((UINT64_C(1) << HOUR_BITS) - 1)
#define TOKEN_MASK ((UINT64_C(1) << TOKEN_BITS) - 1)

static uint64_t pack_period(unsigned kind, unsigned generation, int64_t start, int64_t end)
{
    return (uint64_t)(kind + 1) << 60 | (uint64_t)(generation & 15) << 56 |
           ((uint64_t)start & HOUR_MASK) << HOUR_BITS | ((uint64_t)end & HOUR_MASK);
}

static enum budget_period kind_of(uint64_t period)
{
    return (enum budget_period)((period >> 60) - 1);
}

static unsigned generation_of(uint64_t period)
{
    return period >> 56 & 15;
}

static int64_t start_of(uint64_t period)
{
    return (int64_t)(period >> HOUR_BITS & HOUR_MASK);
}

static int64_t end_of(uint64_t period)
{
    return (int64_t)(period & HOUR_MASK);
}

static uint16_t epoch_of(uint64_t period)
{
    return (uint16_t)(generation_of(period) << 12 | (start_of(period) & 0xfff));
}

static uint16_t taken_epoch(uint64_t taken)
{
    return (uint16_t)(taken >> TOKEN_BITS);
}

static uint64_t pack_taken(uint16_t epoch, int64_t tokens)
{
    int64_t kept = tokens < 0 ? 0 : tokens > BUDGET_TOKENS_MAX ? BUDGET_TOKENS_MAX : tokens;
    return (uint64_t)epoch << TOKEN_BITS | (uint64_t)kept;
}

static int64_t tokens_of(uint64_t taken)
{
    return (int64_t)(taken & TOKEN_MASK);
}

/* The period of the same kind and generation that holds `wall_ms`. */
static uint64_t period_at(uint64_t period, int64_t wall_ms)
{
    enum budget_period kind = kind_of(period);
    int64_t end_ms = budget_period_end(kind, wall_ms);
    int64_t end = end_ms == INT64_MAX ? HOUR_END_NEVER : end_ms / HOUR_MS;
    return pack_period(kind, generation_of(period), budget_period_start(kind, wall_ms) / HOUR_MS,
                       end);
}

/* The period goes on to the one of `wall_ms` when it is over. */
static void roll(struct budget *budget, int64_t wall_ms)
{
    uint64_t seen = atomic_load_explicit(&budget->period, memory_order_acquire);
    while (seen && wall_ms / HOUR_MS >= end_of(seen) && end_of(seen) != HOUR_END_NEVER) {
        uint64_t fresh = period_at(seen, wall_ms);
        if (atomic_compare_exchange_weak_explicit(&budget->period, &seen, fresh,
                                                  memory_order_acq_rel, memory_order_acquire))
            return;
    }
}

struct view {
    uint64_t period, taken; /* of the same epoch */
};

/*
 * `taken` is read before `period`: then the period is at least as new, and a `taken` of another
 * epoch is an older one. False when the budget is not in use.
 */
static bool look(struct budget *budget, struct view *ret)
{
    ret->taken = atomic_load_explicit(&budget->taken, memory_order_acquire);
    for (;;) {
        ret->period = atomic_load_explicit(&budget->period, memory_order_acquire);
        if (!ret->period)
            return false;
        if (taken_epoch(ret->taken) == epoch_of(ret->period))
            return true;
        uint64_t fresh = pack_taken(epoch_of(ret->period), 0);
        if (atomic_compare_exchange_weak_explicit(&budget->taken, &ret->taken, fresh,
                                                  memory_order_acq_rel, memory_order_acquire))
            ret->taken = fresh;
    }
}

static bool change(struct budget *budget, const struct view *view, int64_t tokens)
{
    uint64_t seen = view->taken;
    return atomic_compare_exchange_weak_explicit(&budget->taken, &seen,
                                                 pack_taken(taken_epoch(seen), tokens),
                                                 memory_order_acq_rel, memory_order_relaxed);
}

void budget_use(struct budget *budget, enum budget_period kind)
{
    uint64_t seen = atomic_load_explicit(&budget->period, memory_order_acquire), fresh;
    do {
        if (seen && kind_of(seen) == kind)
            return;
        fresh = pack_period(kind, seen ? generation_of(seen) + 1 : 0, 0, 0);
    } while (!atomic_compare_exchange_weak_explicit(&budget->period, &seen, fresh,
                                                    memory_order_acq_rel, memory_order_acquire));
}

bool budget_is_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->period, memory_order_relaxed) != 0;
}

bool budget_take(struct budget *budget, int64_t limit, int64_t tokens, int64_t wall_ms,
                 struct budget_hold *ret, int64_t *ret_taken)
{
    struct view view;
    roll(budget, wall_ms);
    do {
        bool is_used = look(budget, &view);
        assert(is_used);
        if (limit <= BUDGET_TOKENS_MAX && tokens > limit - tokens_of(view.taken)) {
            *ret_taken = tokens_of(view.taken);
            return false;
        }
    } while (!change(budget, &view, tokens_of(view.taken) + tokens));
    *ret = (struct budget_hold){true, taken_epoch(view.taken), tokens};
    return true;
}

void budget_settle(struct budget *budget, const struct budget_hold *hold, int64_t used,
                   int64_t started_ms)
{
    struct view view;
    int64_t left;
    roll(budget, started_ms);
    do {
        if (!look(budget, &view))
            return;
        left = tokens_of(view.taken);
        if (hold->is_held && hold->epoch == taken_epoch(view.taken))
            left -= hold->tokens;
        if (started_ms / HOUR_MS >= start_of(view.period))
            left += used;
    } while (!change(budget, &view, left));
}

int64_t budget_taken(struct budget *budget, int64_t wall_ms)
{
    struct view view;
    roll(budget, wall_ms);
    return look(budget, &view) ? tokens_of(view.taken) : 0;
}

int64_t budget_end_ms(const struct budget *budget)
{
    int64_t end = end_of(atomic_load_explicit(&budget->period, memory_order_relaxed));
    return end == HOUR_END_NEVER ? INT64_MAX : end * HOUR_MS;
}

struct budget_now budget_now(struct budget *budget)
{
    struct view view;
    if (!look(budget, &view))
        return (struct budget_now){0};
    return (struct budget_now){start_of(view.period) * HOUR_MS, epoch_of(view.period)};
}

bool budget_advance(struct budget *budget, int64_t start_ms)
{
    uint64_t seen = atomic_load_explicit(&budget->period, memory_order_acquire);
    while (seen) {
        bool is_begun = end_of(seen) != 0; /* else nobody knows yet which period it is */
        if (budget_period_start(kind_of(seen), start_ms) != start_ms)
            return false;
        if (is_begun && start_ms / HOUR_MS <= start_of(seen))
            return start_ms / HOUR_MS == start_of(seen);
        if (atomic_compare_exchange_weak_explicit(&budget->period, &seen,
                                                  period_at(seen, start_ms), memory_order_acq_rel,
                                                  memory_order_acquire))
            return true;
    }
    return false;
}

void budget_charge(struct budget *budget, uint16_t epoch, int64_t tokens)
{
    struct view view;
    do {
        if (!look(budget, &view) || taken_epoch(view.taken) != epoch)
            return;
    } while (!change(budget, &view, tokens_of(view.taken) + tokens));
}
