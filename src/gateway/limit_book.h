/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit_states of all keys, users and models by their ids, so that a subject keeps its counts
 * when its entry is replaced, renamed or told anew after a reset; and the bookkeeping between
 * control's figures and our own for those that have a budget.
 *
 * For each of these holds, period by period:
 *
 *     taken = control's figure + own records that aren't in it + what running requests hold
 *
 * "Own records that aren't in it" are remembered as sums up to a record's number, in at most
 * LIMIT_BOOK_SUMS of them a subject. When these are full, new records go into the last one, which
 * control has only taken in with its last record: for as long as that takes, too much counts, never
 * too little. A line of control's changes `taken` by the difference that it makes, in one atomic
 * addition, and so never disturbs what shards do meanwhile.
 *
 * A budget that is given to a subject misses what was used before and isn't in control's figure
 * yet: a batch on its way.
 *
 * Main thread. The zero value is empty.
 */
#pragma once

#include "gateway/map.h"
#include "gateway/record.h"
#include "gateway/spending.h"

enum {
    LIMIT_BOOK_ITEMS_MAX = 4 << 20, /* beyond, lines of control's are refused */
    LIMIT_BOOK_SUMS = 64,
    LIMIT_BOOK_STALE_MAX = 1024, /* forgotten subjects that are kept at most between two readies */
};

struct limit_book {
    struct map items; /* by subject and id; owned */
    char gateway[SPENDING_GATEWAY_MAX + 1]; /* our own name in control's lines */
    size_t stale;                           /* subjects forgotten since the last clean-up */
    bool is_ready;                          /* all subjects were told since the last reset */
};

void limit_book_fini(struct limit_book *book);

/* Our own name in control's lines; before the first of them. */
void limit_book_set_gateway(struct limit_book *book, const char *uuid);

/* The state of a subject whose limits are now `limits`; made when there is none. One reference. */
struct limit_state *limit_book_state(struct limit_book *book, enum limit_kind kind, int64_t id,
                                     const struct limits *limits);

/* The subject was deleted. It keeps its counts for a while: it may only have been turned off. */
void limit_book_forget(struct limit_book *book, enum limit_kind kind, int64_t id);

/* The feed begins anew: whoever isn't told until limit_book_ready() is gone. */
void limit_book_reset(struct limit_book *book);
void limit_book_ready(struct limit_book *book);

/* A line of control's. A subject that isn't known yet gets it when its entry comes. */
void limit_book_apply(struct limit_book *book, const struct spending *line);

/*
 * Records that the journal has just numbered, in the order of their numbers. To be called before
 * they are sent to control; what comes later still comes out right, but counts twice until then.
 */
void limit_book_written(struct limit_book *book, const struct usage_spent spent[], size_t count);

/* A record of before our start that control doesn't have yet; at the start, in order. */
void limit_book_recovered(struct limit_book *book, const struct usage_spent *spent);
