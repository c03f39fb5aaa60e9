/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A budget of tokens for a period of the wall clock: what was spent in this period and what running
 * requests hold of it, in one atomic word beside the word that says which period it is. Any thread
 * takes and settles; kinds of periods and control's figures come from the main thread.
 *
 * A period begins by itself, with the first request in it; what was counted before is then
 * forgotten. A request belongs to the period in which it started: what it holds of an older one
 * never comes back, and what it used is counted only if it started in the present one. The clock
 * going back begins no period again.
 */
#pragma once

#include "domain/limits.h"

#include <stdatomic.h>

/* More than this isn't counted: budgets above it are no limit. */
#define BUDGET_TOKENS_MAX ((INT64_C(1) << 47) - 1)

/* The zero value is not in use: nothing is counted. */
struct budget {
    _Atomic uint64_t period; /* kind, generation, first hour, hour of the end: see budget.c */
    _Atomic uint64_t taken;  /* epoch of its period, tokens */
};

/* What was taken; to be given back. */
struct budget_hold {
    bool is_held;
    uint16_t epoch;
    int64_t tokens;
};

/* In use from now on, with this kind of period; another than before begins anew. Main thread. */
void budget_use(struct budget *budget, enum budget_period kind);

/* Whether budget_use() was called. */
bool budget_is_used(const struct budget *budget);

/*
 * Takes `tokens` if no more than `limit` are taken then; else `*ret_taken` says how many are, and
 * nothing changes. The budget must be in use. `wall_ms` is when the request started.
 */
bool budget_take(struct budget *budget, int64_t limit, int64_t tokens, int64_t wall_ms,
                 struct budget_hold *ret, int64_t *ret_taken);

/* Gives back what is held and counts what was used. Fine when nothing is held or in use. */
void budget_settle(struct budget *budget, const struct budget_hold *hold, int64_t used,
                   int64_t started_ms);

/* Tokens spent and held in the period of `wall_ms`. */
int64_t budget_taken(struct budget *budget, int64_t wall_ms);

/* End of the present period, INT64_MAX: none. */
int64_t budget_end_ms(const struct budget *budget);

/* ---- for control's figures; main thread ---- */

/* The present period: its first millisecond, and a number that changes with it. */
struct budget_now {
    int64_t start_ms;
    uint16_t epoch;
};

/* Of a budget that isn't in use all is 0. */
struct budget_now budget_now(struct budget *budget);

/*
 * Goes on to the period that begins at `start_ms` if it is a later one. False when the present one
 * is later, or periods of the kind in use don't begin then.
 */
bool budget_advance(struct budget *budget, int64_t start_ms);

/* Adds `tokens`, which may be negative, if the period is still that of `epoch`. */
void budget_charge(struct budget *budget, uint16_t epoch, int64_t tokens);
