/* SPDX-License-Identifier: Apache-2.0 */
/* What clients may name in "model": finding it, and the list of all. The exchange's thread. */
#pragma once

#include "gateway/fault.h"
#include "gateway/targets.h"

/* Replies with the names that can be served now and that `key` (NULL: no limits) may use. */
void models_reply_list(struct http_exchange *ex, const struct request_id *id,
                       const struct snapshot *snapshot, const struct entry *key);

/* Replies with one of them. */
void models_reply_one(struct http_exchange *ex, const struct request_id *id, const char *name,
                      const struct targets *targets);

/*
 * Finds what `name` stands for, for the owner of `key` (NULL: no limits); `turn` and `*ret` as in
 * targets_find(). Otherwise false with the fault and its text.
 */
bool models_find(const struct snapshot *snapshot, const struct entry *key, const char *name,
                 unsigned turn, struct targets *ret, enum fault *ret_fault, struct err *err);
