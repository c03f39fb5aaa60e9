/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a password may be guessed: after some failures of a user name from one address the next
 * try has to wait, longer each time. It is counted by both, so that nobody can lock a user out from
 * elsewhere, and no wait is longer than LOGIN_WAIT_MAX_MS. Bounded: of too many the ones that have
 * been quiet for longest are forgotten. Deterministic, time comes from the caller. One thread.
 *
 *     wait_ms = login_limit_ask(limit, name, address, now_ms);      // > 0: refuse
 *     ... login_limit_note(limit, name, address, is_right, now_ms);
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    LOGIN_FREE_FAILURES = 5,           /* before the first wait, which is a second */
    LOGIN_WAIT_MAX_MS = 60 * 1000,     /* it doubles up to this */
    LOGIN_FORGET_MS = 15 * 60 * 1000,  /* without a failure all is forgotten */
    LOGIN_PAIRS_MAX = 4096,            /* of name and address */
};

struct login_limit;

/* Returns owned. */
struct login_limit *login_limit_new(void);

/* NULL is fine. */
void login_limit_free(struct login_limit *limit);

/*
 * 0 when a try may be made now, else how many ms are left. A try that is let through after a wait
 * counts as one under way: the next has to wait again, whether or not its outcome is known.
 */
int64_t login_limit_ask(struct login_limit *limit, const char *name, const char *address,
                        int64_t now_ms);

/* The outcome of a try. */
void login_limit_note(struct login_limit *limit, const char *name, const char *address,
                      bool is_right, int64_t now_ms);
