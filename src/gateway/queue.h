/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for an instance of their model: first come, first served, a bounded number of
 * them a model, each with a deadline. One shard's thread.
 */
#pragma once

#include "base/list.h"
#include "io/loop.h"

struct waiter {
    struct list_node node; /* linked while it waits */
    struct queue *queue;
    struct timer deadline;
    int64_t model_id;
    /* Called once, when an instance may be there (is_late = false) or the deadline has passed; the
     * waiter isn't in the queue any more and may enter again. */
    void (*cb)(struct waiter *waiter, bool is_late);
};

enum { QUEUE_LOOK_MS = 200 }; /* between two looks whether one can be served */

struct queue {
    struct loop *loop;
    struct timer look; /* armed while somebody waits */
    bool (*is_served)(struct waiter *waiter);
    struct list_node waiters; /* in the order of their coming */
    unsigned count;
    unsigned max; /* of one model */
};

/* `is_served` says whether a waiter may be served now. */
void queue_init(struct queue *queue, struct loop *loop, unsigned max,
                bool (*is_served)(struct waiter *waiter));

/* Nobody waits any more. */
void queue_fini(struct queue *queue);

/* False when as many as may wait for that model do already. */
bool queue_enter(struct queue *queue, struct waiter *waiter, int64_t model_id, int64_t timeout_ms,
                 void (*cb)(struct waiter *waiter, bool is_late));

/* Takes it out without a call. One that doesn't wait is fine, a zeroed one too. */
void queue_leave(struct waiter *waiter);

/* Calls those that may be served now. Comes by itself now and then; a fresh snapshot needn't wait
 * for that. */
void queue_wake(struct queue *queue);
