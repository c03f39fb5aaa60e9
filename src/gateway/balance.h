/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which instance takes a request: among those whose breaker lets it pass, the one with the fewest
 * requests in progress, over all threads; among equals the one that was taken longest ago. The
 * counts are relaxed atomics: two threads may now and then choose the same one, which costs nothing
 * but a little evenness. Any thread.
 *
 * A lease is the request's hold on an instance. It has the life of the request, and ends once, with
 * what the instance showed; so counts can't leak.
 */
#pragma once

#include "gateway/snapshot.h"

enum { LEASE_TRIED_MAX = 8 };

/* The zero value holds nothing. */
struct lease {
    struct entry *endpoint; /* a reference; NULL: none is held */
    uint64_t probe;         /* of its breaker: see breaker.h */
    bool is_told;           /* the breaker knows how it went */
};

/* Instances that a request was given already. */
struct tried {
    int64_t ids[LEASE_TRIED_MAX];
    unsigned count;
};

enum lease_end {
    LEASE_SERVED,    /* it answered as a working instance does, whatever it said */
    LEASE_FAILED,    /* it can't be reached, broke off before its response, or said 502-504 */
    LEASE_ABANDONED, /* the request went away: nothing is known */
};

/*
 * Takes one of `endpoints` that isn't in `tried`, and notes it there. False when there is none.
 */
bool lease_take(struct lease *lease, struct entry_span endpoints, struct tried *tried,
                int64_t now_ms);

/* Whether lease_take() would find one. */
bool lease_is_possible(struct entry_span endpoints, const struct tried *tried);

/* The head of its response is there, and it is that of a working instance: its breaker is told now,
 * for a long answer must not hold a probe. */
void lease_answered(struct lease *lease, int64_t now_ms);

/* The instance wasn't asked after all: as if it hadn't been taken. */
void lease_give_back(struct lease *lease, struct tried *tried, int64_t now_ms);

/*
 * Logs trouble with the instance, at most one line a second of it: an engine that dies with
 * thousands of requests must not stall the loop with as many writes. The next line counts the rest.
 */
void lease_warn(const struct lease *lease, int64_t now_ms, const char *fmt, ...)
    printf_like(3, 4);

/* The request to it is over. A lease that holds nothing is fine. */
void lease_end(struct lease *lease, enum lease_end end, int64_t now_ms);
