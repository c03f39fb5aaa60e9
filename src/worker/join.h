/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration with the server: finds this machine's address, posts who we are, tries for ever.
 *
 *      IDLE --start--> WAITING --due--> ADDRESS --found--> POSTING --200--> IDLE, on_joined()
 *                         ^                | fault            | refused, unreachable
 *                         +----------------+------------------+
 *                back-off; 30 s when credentials or name are refused
 *
 * Embedded in the session; one loop's thread.
 */
#pragma once

#include "worker/fault_log.h"
#include "worker/node.h"
#include "worker/post.h"

enum {
    JOIN_RETRY_MIN_MS = 200,
    JOIN_RETRY_MAX_MS = 10000,
    JOIN_REFUSED_MS = 30000, /* when a person has to put something right first */
};

struct joined { /* borrowed for the callback */
    int64_t id;
    const char *name;
    const char *token; /* worker token; secret */
    const char *cluster_id;
    int64_t session; /* which its reports carry; 0: the server gives none */
};

struct join {
    struct loop *loop;
    const struct config *config;
    struct node *node; /* ip is set */
    struct http_target server;
    void (*on_joined)(struct join *join, const struct joined *joined, void *ctx);
    void *ctx;
    struct timer timer;
    struct address_job *job; /* NULL: none runs */
    struct post post;
    int64_t retry_ms;
    struct fault_log faults;
};

/* The memory must be zeroed. */
void join_init(struct join *join, struct loop *loop, struct http_pool *pool);
void join_fini(struct join *join);

/* Tries now and then with growing delays until it is done. */
void join_start(struct join *join);

/* The join proved good: the next one begins without a delay. */
void join_reset_delay(struct join *join);

/* Parses the reply to a registration. ERR_SYNTAX, ERR_INVALID. Borrows from `root`. */
int join_read_reply(const json_t *root, struct joined *ret, struct err *err) must_check;
