/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps requests away from an instance that fails, and finds out when it is well again. One for
 * each instance, shared by all shards, lock-free; the zero value is closed.
 *
 *     closed     all pass. BREAKER_ROW failures in a row, or half of at least BREAKER_WINDOW_MIN
 *                answers within a window of BREAKER_WINDOW_MS, open it
 *     open       none passes for 5 s * 2^n, at most 60 s, give or take a tenth so that the shards
 *                of many gateways don't come back at once
 *     half-open  one request passes, the probe: its success closes, its failure opens with n + 1.
 *                Who left without an answer gives the probe back and the next may be it
 *
 * A failure: no connection, a reset before the first byte, 502, 503, 504, no first byte in time.
 * Anything else that the instance answers is a success, told as soon as the response's head is
 * there. Answers of requests that passed before it opened change nothing while it is open.
 *
 * When all instances of a model are refused, the least bad one is the one whose breaker_due_ms() is
 * the smallest: breaker_probe_early() makes the request its probe, so a model whose instances are
 * all open is asked by one request at a time and instance instead of being refused for a minute.
 *
 *     uint64_t probe;
 *     if (breaker_may_pass(breaker, now_ms, &probe))  ... each pass ends in exactly one of
 *         breaker_success(breaker, probe, now_ms), breaker_failure(...), breaker_abandon(...)
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    BREAKER_ROW = 5,
    BREAKER_WINDOW_MS = 10000,
    BREAKER_WINDOW_MIN = 20,
    BREAKER_OPEN_MIN_MS = 5000,
    BREAKER_OPEN_MAX_MS = 60000,
};

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN, BREAKER_STATES };

struct breaker {
    _Atomic uint64_t state;  /* enum breaker_state, n, time at which it is due: see breaker.c */
    _Atomic uint64_t window; /* number of the window, answers and failures in it */
    atomic_uint row;         /* failures in a row */
};

/*
 * Whether a request may go there. `*ret_probe` is what the end of the request is told with: 0 for
 * an ordinary one.
 */
bool breaker_may_pass(struct breaker *breaker, int64_t now_ms, uint64_t *ret_probe);

/* The same for an open one that isn't due yet. False when a probe is under way. */
bool breaker_probe_early(struct breaker *breaker, int64_t now_ms, uint64_t *ret_probe);

/* The instance answered. */
void breaker_success(struct breaker *breaker, uint64_t probe, int64_t now_ms);

/* It failed. True when that opened the breaker. */
bool breaker_failure(struct breaker *breaker, uint64_t probe, int64_t now_ms);

/* Nobody knows: the client left first. */
void breaker_abandon(struct breaker *breaker, uint64_t probe, int64_t now_ms);

/* For metrics and logs. */
enum breaker_state breaker_state(const struct breaker *breaker);

/* When it lets a probe pass: 0 closed, INT64_MAX while a probe is under way. */
int64_t breaker_due_ms(const struct breaker *breaker);
