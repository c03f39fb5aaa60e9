/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that keys, users and models with a budget have used up in their present period.
 *
 * A subject is loaded when it gets a budget and whenever a period begins: the sum comes out of the
 * store's transaction of that moment, and what batches bring from then on is added here. So the
 * number is exact, whatever arrives in between. Deterministic: time comes from the caller.
 * Control's thread.
 *
 *     spending_set(&spending, SPENDING_USER, user->id, limits, now_ms);
 *     while ((sums = spending_begin_load(&spending)))      // the store fills them in; then
 *         spending_end_load(&spending, sums);
 *     spending_add(&spending, &batch);
 *     spending_take_news(&spending, tell, ctx);
 */
#pragma once

#include "base/list.h"
#include "domain/limits.h"
#include "store/usage.h"

enum spending_subject { SPENDING_KEY, SPENDING_USER, SPENDING_MODEL, SPENDING_SUBJECT_COUNT };

extern const char *const spending_subject_names[SPENDING_SUBJECT_COUNT];

struct spending_entry;

struct spending {
    struct spending_entry *entries; /* uthash */
    struct list_node wanting;       /* those that have to be loaded */
    struct list_node news;          /* loaded ones whose tokens have changed */
};

/* What a subject has used up. */
struct spent {
    enum spending_subject subject;
    int64_t id;
    int64_t start_ms; /* of the period */
    int64_t tokens;
};

typedef void spent_cb(const struct spent *spent, void *ctx);

/* An empty one; fini forgets all. */
void spending_init(struct spending *spending);
void spending_fini(struct spending *spending);

/* The subject's limits as they are now; NULL, or no budget: it isn't counted any more. */
void spending_set(struct spending *spending, enum spending_subject subject, int64_t id,
                  const struct limits *limits, int64_t now_ms);

/* Counts the records of a batch that the store doesn't have yet. */
void spending_add(struct spending *spending, const struct usage_batch *batch);

/* Begins anew with those whose period is over by now. */
void spending_turn_over(struct spending *spending, int64_t now_ms);

/* When the next period ends; INT64_MAX when none does. */
int64_t spending_next_end(const struct spending *spending);

/*
 * Asks for the sums of subjects whose period begins at the same time; NULL when all are loaded or
 * under way. From now on batches count on top of these sums. Returns owned: give it to
 * spending_end_load() when the store has filled it in.
 */
struct usage_sums *spending_begin_load(struct spending *spending);

/* Takes the sums. Subjects whose budget was changed since are left to their later load. */
void spending_end_load(struct spending *spending, struct usage_sums *sums);

/* Calls `each` for every loaded subject whose tokens or period have changed since the last time. */
void spending_take_news(struct spending *spending, spent_cb *each, void *ctx);

/* Calls `each` for every loaded subject. */
void spending_each(const struct spending *spending, spent_cb *each, void *ctx);
