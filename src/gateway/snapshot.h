/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a request is decided by, at one moment: users, keys, sessions, models, endpoints,
 * routes.
 *
 * A snapshot never changes after it was built, so all threads read it without a lock; it is shared
 * by reference count. It is made of one index a kind; kinds that didn't change share the index with
 * the snapshot before, so a new endpoint doesn't cost a copy of all keys. Lookups borrow from the
 * snapshot; take entry_ref() to keep an entry for longer.
 */
#pragma once

#include "gateway/entry.h"
#include "gateway/map.h"

struct index;

struct snapshot {
    atomic_uint refs;
    uint64_t number; /* one more than that of the snapshot before */
    struct index *kinds[ENTRY_KINDS]; /* a reference each */
};

/* Entries of one kind that belong together, in a row; borrowed. */
struct entry_span {
    struct entry *const *items;
    size_t count;
};

/*
 * Builds one from the tables (id -> entry, a map for each kind). A kind whose `dirty` is false is
 * taken over from `before`; with `before` NULL all are built. Endpoints go on with the load that
 * they have in `before`. Main thread. Returns one reference.
 */
struct snapshot *snapshot_build(const struct map tables[ENTRY_KINDS], const bool dirty[ENTRY_KINDS],
                                const struct snapshot *before);

struct snapshot *snapshot_ref(struct snapshot *snapshot);

/* The last one frees. NULL is fine. */
void snapshot_unref(struct snapshot *snapshot);

/* Each is NULL when there is none. */
struct entry *snapshot_user(const struct snapshot *snapshot, int64_t id);
struct entry *snapshot_key(const struct snapshot *snapshot, struct str access_key);
struct entry *snapshot_session(const struct snapshot *snapshot, struct str token_digest);
struct entry *snapshot_model(const struct snapshot *snapshot, struct str name);
struct entry *snapshot_model_by_id(const struct snapshot *snapshot, int64_t id);
struct entry *snapshot_route(const struct snapshot *snapshot, struct str name);

/* All keys. */
struct entry_span snapshot_keys(const struct snapshot *snapshot);

/* All models by name; all routes by name. */
struct entry_span snapshot_models(const struct snapshot *snapshot);
struct entry_span snapshot_routes(const struct snapshot *snapshot);

/* The endpoints of a model by id; an empty span when there is none. */
struct entry_span snapshot_endpoints(const struct snapshot *snapshot, int64_t model_id);
