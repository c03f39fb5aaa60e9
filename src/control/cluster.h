/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's state in memory: every record, and the one way to change it.
 *
 * Deterministic: no clock, socket, file or random source of its own; time and fresh ids of names
 * come from the caller. Each change is told to one sink, which turns it into rows to store and
 * messages to send. One thread, one writer.
 *
 *     struct model copy = {0};
 *     record_copy(&model_type, &copy, model);
 *     copy.replicas = 3;
 *     cluster_put(cluster, KIND_MODEL, &copy, now);     // moved in; unchanged content is no change
 */
#pragma once

#include "control/table.h"
#include "domain/instance.h"
#include "domain/model.h"
#include "domain/user.h"
#include "domain/worker.h"

enum kind {
    KIND_USER,
    KIND_API_KEY,
    KIND_SESSION,
    KIND_WORKER,
    KIND_MODEL,
    KIND_INSTANCE,
    KIND_COUNT
};

struct cluster_sink {
    /* `record` was added or changed. `durable`: a stored field differs, not only transient ones. */
    void (*on_put)(enum kind kind, const void *record, bool durable, void *ctx);
    /* `record` was removed; it is freed after the call. */
    void (*on_delete)(enum kind kind, const void *record, void *ctx);
};

struct cluster {
    struct table tables[KIND_COUNT];
    char *id;                        /* uuid of the cluster; owned */
    char *secret;                    /* key of worker and instance tokens; owned, wiped */
    const struct cluster_sink *sink; /* NULL: changes are not told (loading, tests) */
    void *sink_ctx;
};

void cluster_init(struct cluster *cluster);
void cluster_fini(struct cluster *cluster);

/* The record type of a kind. */
const struct record_type *kind_type(enum kind kind);

/*
 * Adds (id 0: the next id is given, created_at set) or replaces a record; updated_at is set when a
 * stored field changed. Moves the content of `record`, which is empty afterwards. Returns the row.
 */
void *cluster_put(struct cluster *cluster, enum kind kind, void *record, int64_t now_ms);

/* Removes it and what can't exist without it (user: keys, sessions; model: instances). */
void cluster_delete(struct cluster *cluster, enum kind kind, int64_t id);

/* The record or NULL; borrows until the next change of it. */
void *cluster_find(const struct cluster *cluster, enum kind kind, int64_t id);

struct user *cluster_user_by_name(const struct cluster *cluster, const char *username);
struct model *cluster_model_by_name(const struct cluster *cluster, const char *name);
struct worker *cluster_worker_by_uuid(const struct cluster *cluster, const char *uuid);
struct worker *cluster_worker_by_name(const struct cluster *cluster, const char *name);
struct model_instance *cluster_instance_by_name(const struct cluster *cluster, const char *name);
struct api_key *cluster_key_by_access(const struct cluster *cluster, const char *access_key);
struct session *cluster_session_by_digest(const struct cluster *cluster, const char *digest);

/* Iterates in the order of ids. The body must not add or delete records of this kind. */
#define CLUSTER_FOR_EACH(cluster, kind, type, var)                                                 \
    for (size_t at_##var = 0; at_##var < (cluster)->tables[kind].count; at_##var++)                \
        for (type *var = (cluster)->tables[kind].rows[at_##var], *once_##var = var; once_##var;    \
             once_##var = NULL)

/* Tokens: see "Protocols between the roles" in ARCHITECTURE.md. Return owned. */
char *cluster_worker_token(const struct cluster *cluster, const struct worker *worker);
char *cluster_instance_token(const struct cluster *cluster, int64_t instance_id);

/* The worker that a token belongs to, or NULL. Compares in constant time. */
struct worker *cluster_worker_by_token(const struct cluster *cluster, const char *token);
