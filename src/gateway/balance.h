/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoint takes a request: the one with the fewest in progress, over all threads; among
 * equals each in turn. The count is a relaxed atomic in the endpoint: two threads may now and then
 * choose the same one, which costs nothing but a little evenness. Any thread.
 */
#pragma once

#include "gateway/snapshot.h"

/*
 * Chooses one of `endpoints` other than the one with id `except` (0: none is left out) and counts a
 * request to it. `turn` is the caller's, kept from call to call. Returns a reference that
 * balance_release() gives back, or NULL when there is none.
 */
struct entry *balance_take(struct entry_span endpoints, int64_t except, unsigned *turn);

/* The request to it ended. NULL is fine. */
void balance_release(struct entry *endpoint);
