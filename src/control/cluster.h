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

#include "control/index.h"
#include "control/table.h"
#include "domain/event.h"
#include "domain/instance.h"
#include "domain/model_file.h"
#include "domain/model_metadata.h"
#include "domain/model_route.h"
#include "domain/revision.h"
#include "domain/user.h"
#include "domain/worker.h"

enum kind {
    KIND_USER,
    KIND_API_KEY,
    KIND_SESSION,
    KIND_WORKER,
    KIND_MODEL,
    KIND_INSTANCE,
    KIND_EVENT,
    KIND_REVISION,
    KIND_ROUTE,
    KIND_MODEL_METADATA,
    KIND_MODEL_FILE,
    KIND_COUNT
};

struct cluster_sink {
    /* `record` was added or changed. `durable`: a stored field differs, not only transient ones. */
    void (*on_put)(enum kind kind, const void *record, bool durable, void *ctx);
    /* `record` was removed; it is freed after the call. */
    void (*on_delete)(enum kind kind, const void *record, void *ctx);
};

struct cluster {
    struct table tables[KIND_COUNT]; /* to read; changed by the functions below alone */
    struct text_index names[KIND_COUNT];     /* by the text that is unique in the kind */
    struct text_index worker_uuids;
    struct number_index instances_of_model;  /* by model_id */
    struct number_index instances_on_worker; /* by worker_id (0: none), or all ranks' */
    struct number_index events_of_object;    /* by cluster_object_key() */
    struct number_index revisions_of_model;
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

/* Takes a copy of a row that the store has loaded; nothing is told. */
void cluster_load(struct cluster *cluster, enum kind kind, const void *record);

/* Removes it and what can't exist without it (user: keys, sessions; model: instances). */
void cluster_delete(struct cluster *cluster, enum kind kind, int64_t id);

/* The record or NULL; borrows until the next change of it. */
void *cluster_find(const struct cluster *cluster, enum kind kind, int64_t id);

/* The one with that text, or NULL. */
struct user *cluster_user_by_name(const struct cluster *cluster, const char *username);
struct model *cluster_model_by_name(const struct cluster *cluster, const char *name);
struct worker *cluster_worker_by_uuid(const struct cluster *cluster, const char *uuid);
struct worker *cluster_worker_by_name(const struct cluster *cluster, const char *name);
struct model_instance *cluster_instance_by_name(const struct cluster *cluster, const char *name);
struct model_route *cluster_route_by_name(const struct cluster *cluster, const char *name);
struct model_metadata *cluster_metadata_by_key(const struct cluster *cluster, const char *key);
struct model_file *cluster_file_by_key(const struct cluster *cluster, const char *key);
struct api_key *cluster_key_by_access(const struct cluster *cluster, const char *access_key);
struct session *cluster_session_by_digest(const struct cluster *cluster, const char *digest);

/* The kind whose records are called that ("model-instance"), or KIND_COUNT. */
enum kind kind_of_noun(const char *noun);

/* The text that is unique in the kind, or NULL. Borrows from the record. */
const char *cluster_name_of(enum kind kind, const void *record);

/* Key of an object in events_of_object. */
int64_t cluster_object_key(enum kind kind, int64_t id);

/*
 * Iterates over the rows under a key, in the order in which they were added. The body must not
 * add or remove any, nor change what they are found by.
 *
 *     CLUSTER_FOR_KEY(&cluster->instances_of_model, model->id, struct model_instance, instance) ...
 */
#define CLUSTER_FOR_KEY(index, key, type, var)                                                     \
    for (const struct index_bucket *in_##var = number_index_find(index, key),                      \
                                   *once_in_##var = in_##var;                                      \
         once_in_##var; once_in_##var = NULL)                                                      \
        for (size_t at_##var = 0; at_##var < in_##var->count; at_##var++)                          \
            for (type *var = in_##var->rows[at_##var], *once_##var = var; once_##var;              \
                 once_##var = NULL)

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
