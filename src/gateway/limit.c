/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/limit.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

const char *const limit_kind_names[LIMIT_KINDS] = {
    [LIMIT_KEY] = "key", [LIMIT_USER] = "user", [LIMIT_MODEL] = "model"};

const char *const limit_names[LIMIT_NAMES] = {
    [LIMIT_REQUESTS] = "requests_per_minute",
    [LIMIT_TOKENS] = "tokens_per_minute",
    [LIMIT_CONCURRENT] = "concurrent_requests",
    [LIMIT_BUDGET] = "token_budget",
};

/* A concurrent place and the reference that goes with it. */
#define PLACE ((UINT64_C(1) << 32) + 1)

/* ---- state ---- */

struct limit_state *limit_state_new(void)
{
    struct limit_state *state = aligned_alloc(_Alignof(struct limit_state), sizeof *state);
    if (!state)
        abort();
    *state = (struct limit_state){.users = 1};
    return state;
}

struct limit_state *limit_state_ref(struct limit_state *state)
{
    atomic_fetch_add_explicit(&state->users, 1, memory_order_relaxed);
    return state;
}

/* Gives back a reference, or PLACE. */
static void give_back(struct limit_state *state, uint64_t n)
{
    uint64_t before = atomic_fetch_sub_explicit(&state->users, n, memory_order_acq_rel);
    assert(before >= n);
    if (before == n)
        free(state);
}

void limit_state_unref(struct limit_state *state)
{
    if (state)
        give_back(state, 1);
}

unsigned limit_state_concurrent(const struct limit_state *state)
{
    return (unsigned)(atomic_load_explicit(&state->users, memory_order_relaxed) >> 32);
}

/* ---- one subject ---- */

struct request {
    int64_t tokens, now_us, started_ms;
};

static bool take_place(struct limit_state *state, int64_t limit, struct limit_denial *denial)
{
    if (limit == 0) {
        atomic_fetch_add_explicit(&state->users, PLACE, memory_order_relaxed);
        return true;
    }
    uint64_t seen = atomic_load_explicit(&state->users, memory_order_relaxed);
    do {
        if ((int64_t)(seen >> 32) >= limit) {
            *denial = (struct limit_denial){.name = LIMIT_CONCURRENT,
                                            .limit = limit,
                                            .requested = 1,
                                            .retry_after_ms = LIMIT_CONCURRENT_RETRY_MS};
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&state->users, &seen, seen + PLACE,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static bool take_budget(struct reservation_part *part, const struct limits *limits,
                        const struct request *request, struct limit_denial *denial)
{
    int64_t taken;
    if (limits->token_budget == 0 ||
        budget_take(&part->state->budget, limits->token_budget, request->tokens,
                    request->started_ms, &part->budget, &taken))
        return true;
    int64_t end_ms = budget_end_ms(&part->state->budget), limit = limits->token_budget;
    bool has_end = end_ms != INT64_MAX && request->tokens <= limit;
    int64_t wait_ms = has_end && end_ms > request->started_ms ? end_ms - request->started_ms : 0;
    *denial = (struct limit_denial){.name = LIMIT_BUDGET,
                                    .period = (enum budget_period)limits->budget_period,
                                    .limit = limit,
                                    .remaining = taken < limit ? limit - taken : 0,
                                    .requested = request->tokens,
                                    .retry_after_ms = has_end ? wait_ms : -1};
    return false;
}

static bool take_rate(struct rate *rate, enum limit_name name, int64_t limit, int64_t n,
                      const struct request *request, struct rate_hold *ret,
                      struct limit_denial *denial)
{
    int64_t wait_us;
    if (limit == 0)
        return true;
    if (n <= limit && rate_take(rate, limit, n, request->now_us, ret, &wait_us))
        return true;
    *denial = (struct limit_denial){.name = name,
                                    .limit = limit,
                                    .remaining = rate_remaining(rate, limit, request->now_us),
                                    .requested = n,
                                    .retry_after_ms = n > limit ? -1 : (wait_us + 999) / 1000};
    return false;
}

/*
 * The longest waits are asked first. What an earlier one took goes back when a later one refuses,
 * also the count of requests.
 */
static bool take(struct reservation_part *part, const struct limits *limits,
                 const struct request *request, struct limit_denial *denial)
{
    struct limit_state *state = part->state;
    if (!take_budget(part, limits, request, denial))
        return false;
    if (take_rate(&state->requests, LIMIT_REQUESTS, limits->requests_per_minute, 1, request,
                  &part->requests, denial)) {
        if (take_rate(&state->tokens, LIMIT_TOKENS, limits->tokens_per_minute, request->tokens,
                      request, &part->tokens, denial)) {
            if (take_place(state, limits->concurrent_requests, denial))
                return true;
            rate_undo(&state->tokens, &part->tokens);
        }
        rate_undo(&state->requests, &part->requests);
    }
    budget_settle(&state->budget, &part->budget, 0, request->started_ms);
    return false;
}

static void undo(struct reservation_part *part, const struct request *request)
{
    struct limit_state *state = part->state;
    rate_undo(&state->tokens, &part->tokens);
    rate_undo(&state->requests, &part->requests);
    budget_settle(&state->budget, &part->budget, 0, request->started_ms);
    give_back(state, PLACE);
}

/* ---- a request ---- */

static int64_t clamp_tokens(int64_t tokens)
{
    return tokens < 0 ? 0 : tokens > LIMIT_TOKENS_MAX ? LIMIT_TOKENS_MAX : tokens;
}

static void refuse(struct reservation *reservation, const struct request *request)
{
    while (reservation->count > 0)
        undo(&reservation->parts[--reservation->count], request);
}

bool limit_reserve(struct reservation *ret, const struct limit_subject subjects[], unsigned count,
                   int64_t tokens, int64_t now_us, int64_t started_ms,
                   struct limit_denial *ret_denial)
{
    assert(count <= LIMIT_KINDS);
    const struct request request = {clamp_tokens(tokens), now_us, started_ms};
    ret->count = 0;
    ret->tokens = request.tokens;
    ret->started_ms = started_ms;
    for (unsigned i = 0; i < count; i++) {
        struct reservation_part *part = &ret->parts[ret->count];
        if (!subjects[i].state)
            continue;
        *part = (struct reservation_part){.state = subjects[i].state};
        if (!take(part, subjects[i].limits, &request, ret_denial)) {
            ret_denial->subject = subjects[i].kind;
            refuse(ret, &request);
            return false;
        }
        ret->count++;
    }
    return true;
}

bool limit_is_held(const struct reservation *reservation, const struct limit_subject *subject)
{
    for (unsigned i = 0; i < reservation->count; i++)
        if (reservation->parts[i].state == subject->state)
            return true;
    return false;
}

void limit_settle(struct reservation *reservation, int64_t tokens, int64_t now_us)
{
    int64_t used = clamp_tokens(tokens);
    while (reservation->count > 0) {
        struct reservation_part *part = &reservation->parts[--reservation->count];
        rate_settle(&part->state->tokens, &part->tokens, used, now_us);
        budget_settle(&part->state->budget, &part->budget, used, reservation->started_ms);
        give_back(part->state, PLACE);
    }
}

void limit_release(struct reservation *reservation, int64_t now_us)
{
    limit_settle(reservation, 0, now_us);
}

void limit_undo(struct reservation *reservation, int64_t now_us)
{
    for (unsigned i = 0; i < reservation->count; i++) {
        struct reservation_part *part = &reservation->parts[i];
        rate_settle(&part->state->requests, &part->requests, 0, now_us);
    }
    limit_release(reservation, now_us);
}

/* ---- words ---- */

char *limit_denial_text(const struct limit_denial *denial)
{
    const char *subject = limit_kind_names[denial->subject], *name = limit_names[denial->name];
    long long limit = denial->limit, left = denial->remaining, requested = denial->requested;
    if (denial->name == LIMIT_REQUESTS || denial->name == LIMIT_CONCURRENT)
        return mem_printf("%s of this %s is %lld, and all are taken", name, subject, limit);
    if (requested > limit)
        return mem_printf("%s of this %s is %lld, and the request may need %lld: it can never "
                          "pass; ask for fewer tokens",
                          name, subject, limit, requested);
    if (denial->name == LIMIT_TOKENS)
        return mem_printf("%s of this %s is %lld: %lld are left, and the request may need %lld",
                          name, subject, limit, left, requested);
    return mem_printf("%s of this %s is %lld (%s): %lld are left, and the request may need %lld",
                      name, subject, limit,
                      denial->period == BUDGET_NEVER ? "once"
                                                     : budget_period_names[denial->period],
                      left, requested);
}
