/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control role: the cluster in memory, made durable turn by turn.
 *
 * A turn of the loop handles events, which change the cluster through cluster_put() and
 * cluster_delete(). At its end the reconciler runs, the rows that changed go to the store as one
 * transaction, and only when that is durable do replies (control_when_durable()), desired states,
 * feed lines and news to watchers leave. Turns complete in their order. A failed commit ends the
 * process: memory would be ahead of the disk; the supervisor starts it again from the store.
 *
 * All on the control loop's thread.
 */
#pragma once

#include "control/cluster.h"
#include "http/client.h"
#include "io/loop.h"
#include "store/store.h"

enum { CONTROL_REFUSE_MS = 90000 };

struct catalog;
struct catalog_fit;
struct control;
struct feed_hub;
struct fleet;
struct ledger;
struct sampler;
struct shapes;
struct watch_hub;

struct control_params {
    struct loop *loop;           /* borrowed, as all of these, for control's life */
    struct store *store;         /* open and not started */
    const char *cluster_token;   /* what workers and gateways join with */
    uint64_t reserved_ram_bytes;  /* per worker, not for engines */
    uint64_t reserved_vram_bytes; /* per device */
    int64_t usage_retention_days; /* of records of single requests; 0: the default of
                                     control/ledger.h */
    int64_t reschedule_grace_ms; /* without contact, after which a worker's instances move; 0: the
                                    default of control/lost.h */
    const char *series_path; /* where the history of figures is kept; NULL: nowhere */
};

/* Loads the cluster from the store and starts the store's thread. Blocks. */
int control_new(const struct control_params *params, struct control **ret,
                struct err *err) must_check;

/*
 * Forgets what was not durable yet. NULL is fine. The servers whose exchanges it answers must have
 * been freed before, the store closed; the loop is freed after.
 */
void control_free(struct control *control);

/* What control is made of; each has a header of its own. Borrow. */
struct cluster *control_cluster(struct control *control);
struct loop *control_loop(struct control *control);
struct feed_hub *control_feed(struct control *control);
struct fleet *control_fleet(struct control *control);
struct ledger *control_ledger(struct control *control);
struct sampler *control_sampler(struct control *control);
struct shapes *control_shapes(struct control *control);
const struct catalog *control_catalog(const struct control *control);
struct catalog_fit *control_catalog_fit(struct control *control);
struct watch_hub *control_watch(struct control *control);
struct http_pool *control_pool(struct control *control);

/* Wall-clock ms, for times in records. */
int64_t control_now_ms(const struct control *control);

/* The cluster token, for an administrator who is to make a worker join; secret, borrowed. */
const char *control_cluster_token(const struct control *control);

/* Whether `token` is the cluster token. Constant time. */
bool control_is_cluster_token(const struct control *control, const char *token);

/*
 * A number that grows with every change made: a handler that finds it unchanged has changed nothing
 * and may reply at once.
 */
uint64_t control_change_count(const struct control *control);

/* Runs fn(ctx) once everything changed so far is durable; at the end of this turn at the earliest.
 */
void control_when_durable(struct control *control, void (*fn)(void *ctx), void *ctx);

/*
 * How long the oldest change has waited for the store by now; 0 when none waits. Changes that are
 * made all the same wait too, in memory; from CONTROL_REFUSE_MS on who makes them had better not.
 */
int64_t control_store_wait_ms(const struct control *control);

/* Opens a turn, at whose end the reconciler does what there is to do, though no record changed. */
void control_wake(struct control *control);
