/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/breaker.h"

/*
 * state: enum breaker_state in 2 bits, n in 6, the due time in 56. A half-open word is the probe's
 * token: only who holds it changes the state. window: its number in 32 bits, answers and failures
 * in 16 each.
 */
enum { TRIPS_MAX = 63, COUNT_MAX = 0xffff };

static uint64_t pack(enum breaker_state state, unsigned trips, int64_t due_ms)
{
    return (uint64_t)state << 62 | (uint64_t)(trips < TRIPS_MAX ? trips : TRIPS_MAX) << 56 |
           ((uint64_t)due_ms & ((UINT64_C(1) << 56) - 1));
}

static enum breaker_state state_of(uint64_t word)
{
    return (enum breaker_state)(word >> 62);
}

static unsigned trips_of(uint64_t word)
{
    return word >> 56 & TRIPS_MAX;
}

static int64_t due_of(uint64_t word)
{
    return (int64_t)(word & ((UINT64_C(1) << 56) - 1));
}

static uint64_t load(const struct breaker *breaker)
{
    return atomic_load_explicit(&breaker->state, memory_order_relaxed);
}

static bool replace(struct breaker *breaker, uint64_t before, uint64_t after)
{
    return atomic_compare_exchange_strong_explicit(&breaker->state, &before, after,
                                                   memory_order_relaxed, memory_order_relaxed);
}

/* Evenly in 0.9 to 1.1 of `ms`, from what differs between instances: where they lie and when. */
static int64_t jitter(const struct breaker *breaker, int64_t ms, int64_t now_ms)
{
    uint64_t mixed = (uint64_t)(uintptr_t)breaker + (uint64_t)now_ms * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    int64_t tenth = ms / 10;
    return ms - tenth + (int64_t)((mixed >> 33) % (uint64_t)(2 * tenth + 1));
}

static uint64_t opened(const struct breaker *breaker, unsigned trips, int64_t now_ms)
{
    int64_t ms = BREAKER_OPEN_MAX_MS;
    if (trips < 8 && BREAKER_OPEN_MIN_MS << trips < BREAKER_OPEN_MAX_MS)
        ms = BREAKER_OPEN_MIN_MS << trips;
    return pack(BREAKER_OPEN, trips, now_ms + jitter(breaker, ms, now_ms));
}

static bool probe(struct breaker *breaker, uint64_t seen, int64_t now_ms, uint64_t *ret_probe)
{
    uint64_t token = pack(BREAKER_HALF_OPEN, trips_of(seen), now_ms);
    if (!replace(breaker, seen, token))
        return false;
    *ret_probe = token;
    return true;
}

bool breaker_may_pass(struct breaker *breaker, int64_t now_ms, uint64_t *ret_probe)
{
    uint64_t seen = load(breaker);
    *ret_probe = 0;
    switch (state_of(seen)) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_OPEN:
        return now_ms >= due_of(seen) && probe(breaker, seen, now_ms, ret_probe);
    case BREAKER_HALF_OPEN: /* a slow probe must not shut off an engine that is back */
        return now_ms - due_of(seen) >= BREAKER_OPEN_MIN_MS &&
               probe(breaker, seen, now_ms, ret_probe);
    case BREAKER_STATES:
        break;
    }
    return false;
}

bool breaker_probe_early(struct breaker *breaker, int64_t now_ms, uint64_t *ret_probe)
{
    uint64_t seen = load(breaker);
    *ret_probe = 0;
    return state_of(seen) == BREAKER_OPEN && probe(breaker, seen, now_ms, ret_probe);
}

static void forget(struct breaker *breaker)
{
    atomic_store_explicit(&breaker->row, 0, memory_order_relaxed);
    atomic_store_explicit(&breaker->window, 0, memory_order_relaxed);
}

/* Counts an answer; whether the window is bad with it. Windows begin at full multiples. */
static bool count(struct breaker *breaker, unsigned failed, int64_t now_ms)
{
    uint64_t number = (uint64_t)(now_ms / BREAKER_WINDOW_MS) & 0xffffffff;
    uint64_t seen = atomic_load_explicit(&breaker->window, memory_order_relaxed), next;
    unsigned all, bad;
    do {
        bool is_same = seen >> 32 == number;
        all = (is_same ? seen >> 16 & COUNT_MAX : 0) + 1;
        bad = (is_same ? seen & COUNT_MAX : 0) + failed;
        if (all > COUNT_MAX) {
            all /= 2;
            bad /= 2;
        }
        next = number << 32 | (uint64_t)all << 16 | bad;
    } while (!atomic_compare_exchange_weak_explicit(&breaker->window, &seen, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return all >= BREAKER_WINDOW_MIN && 2 * bad >= all;
}

void breaker_success(struct breaker *breaker, uint64_t probe, int64_t now_ms)
{
    if (probe) {
        uint64_t seen = load(breaker); /* of this probe, or of one that followed it */
        if (state_of(seen) == BREAKER_HALF_OPEN &&
            replace(breaker, seen, pack(BREAKER_CLOSED, 0, 0)))
            forget(breaker);
        return;
    }
    if (atomic_load_explicit(&breaker->row, memory_order_relaxed))
        atomic_store_explicit(&breaker->row, 0, memory_order_relaxed);
    count(breaker, 0, now_ms);
}

bool breaker_failure(struct breaker *breaker, uint64_t probe, int64_t now_ms)
{
    if (probe)
        return replace(breaker, probe, opened(breaker, trips_of(probe) + 1, now_ms));
    uint64_t seen = load(breaker);
    if (state_of(seen) != BREAKER_CLOSED)
        return false;
    unsigned row = atomic_fetch_add_explicit(&breaker->row, 1, memory_order_relaxed) + 1;
    bool is_bad = count(breaker, 1, now_ms);
    if ((row < BREAKER_ROW && !is_bad) || !replace(breaker, seen, opened(breaker, 0, now_ms)))
        return false;
    forget(breaker);
    return true;
}

void breaker_abandon(struct breaker *breaker, uint64_t probe, int64_t now_ms)
{
    if (probe)
        replace(breaker, probe, pack(BREAKER_OPEN, trips_of(probe), now_ms));
}

enum breaker_state breaker_state(const struct breaker *breaker)
{
    return state_of(load(breaker));
}

int64_t breaker_due_ms(const struct breaker *breaker)
{
    uint64_t seen = load(breaker);
    return state_of(seen) == BREAKER_HALF_OPEN ? INT64_MAX : due_of(seen);
}
