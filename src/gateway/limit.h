/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request takes of the limits of its key, its user and its model, and gives back.
 *
 * `struct limit_state` has the counts of one of these subjects. All shards share it, lock-free, and
 * it stays the same when its subject changes (limit_book.h). The limits themselves come with the
 * subject's entry, so a change is in force with the next snapshot; counts go on.
 *
 *     struct limit_subject subjects[] = {{LIMIT_KEY, &key->limits, key->limit}, ...};
 *     if (!limit_reserve(&p->reservation, subjects, 3, tokens, now_us, started_ms, &denial))
 *         ... 429
 *     limit_settle(&p->reservation, prompt_tokens + completion_tokens, now_us);
 *
 * A subject without limits costs two additions; its requests are counted nevertheless, so that a
 * limit that it is given later sees who is under way.
 */
#pragma once

#include "gateway/budget.h"
#include "gateway/rate.h"

enum limit_kind { LIMIT_KEY, LIMIT_USER, LIMIT_MODEL, LIMIT_KINDS };

enum limit_name {
    LIMIT_REQUESTS,   /* requests_per_minute */
    LIMIT_TOKENS,     /* tokens_per_minute */
    LIMIT_CONCURRENT, /* concurrent_requests */
    LIMIT_BUDGET,     /* token_budget */
    LIMIT_NAMES
};

extern const char *const limit_kind_names[LIMIT_KINDS]; /* "key", ... */
extern const char *const limit_names[LIMIT_NAMES];      /* as the members of struct limits */

enum {
    LIMIT_CONCURRENT_RETRY_MS = 1000, /* nobody knows when a request ends */
};

#define LIMIT_TOKENS_MAX (INT64_C(1) << 40) /* of one request; more is taken for this */

/*
 * On a cache line of its own. A request's concurrent place is also its reference, one addition for
 * both.
 */
struct limit_state {
    _Alignas(64) _Atomic uint64_t users; /* requests under way in the upper half, references */
    struct rate requests, tokens;
    struct budget budget;
};

/* Whose limits a request must pass. */
struct limit_subject {
    enum limit_kind kind;
    const struct limits *limits;
    struct limit_state *state; /* NULL: it has none, the subject is passed over */
};

/* What a request holds. The zero value holds nothing. */
struct reservation {
    unsigned count;
    int64_t tokens;     /* reserved of each subject */
    int64_t started_ms; /* wall time */
    struct reservation_part {
        struct limit_state *state; /* a reference, together with the concurrent place */
        struct rate_hold requests, tokens;
        struct budget_hold budget;
    } parts[LIMIT_KINDS];
};

/* Why a request was refused: the first limit that it didn't pass. */
struct limit_denial {
    enum limit_kind subject;
    enum limit_name name;
    enum budget_period period; /* LIMIT_BUDGET */
    int64_t limit;
    int64_t remaining;      /* of it */
    int64_t requested;      /* 1, or the tokens */
    int64_t retry_after_ms; /* when the same request would pass; -1: never, it is too large, or the
                               budget has no next period */
};

/* One reference. */
struct limit_state *limit_state_new(void);
struct limit_state *limit_state_ref(struct limit_state *state);

/* The last one frees. NULL is fine. */
void limit_state_unref(struct limit_state *state);

/* Requests under way. */
unsigned limit_state_concurrent(const struct limit_state *state);

/*
 * Takes one request, one concurrent place and `tokens` of each of the `count` (at most LIMIT_KINDS)
 * subjects, or nothing of any. `now_us` is monotonic, `started_ms` the wall time of the record's
 * started_ms: it says to which period of a budget the request belongs.
 */
bool limit_reserve(struct reservation *ret, const struct limit_subject subjects[], unsigned count,
                   int64_t tokens, int64_t now_us, int64_t started_ms,
                   struct limit_denial *ret_denial);

/* Whether it holds a place of this subject. */
bool limit_is_held(const struct reservation *reservation, const struct limit_subject *subject);

/*
 * The request ended and used `tokens`: they replace the reserved ones, the concurrent places go
 * back. The reservation is then empty; once more does nothing.
 */
void limit_settle(struct reservation *reservation, int64_t tokens, int64_t now_us);

/* The request used nothing: all goes back but the count of requests a minute. */
void limit_release(struct reservation *reservation, int64_t now_us);

/* The request was refused by something else: all goes back, also the count of requests. */
void limit_undo(struct reservation *reservation, int64_t now_us);

/*
 * A sentence for the client: "tokens_per_minute of this key is 1000: 200 are left, the request
 * needs up to 500". Returns owned.
 */
char *limit_denial_text(const struct limit_denial *denial);
