/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All instances of this worker: adopts at start-up, runs the decision when something changed,
 * carries out its effects through the runners. Changes mark it dirty; one pass a turn compares and
 * acts. One loop's thread.
 */
#pragma once

#include "worker/ports.h"
#include "worker/runner.h"

enum { RUNNER_SET_TEND_MS = 30000 }; /* between two looks at logs and records */

struct runner_set;

struct runner_set_params {
    struct loop *loop;
    struct http_pool *pool;
    const struct config *config; /* folders and port range */
    const struct node *node;
    /* This machine's devices; NULL while nobody knows. */
    const struct device_list *(*devices)(void *ctx);
    /* Asks for a look at them that begins now, and whether it is over. */
    uint64_t (*look)(void *ctx);
    bool (*has_looked)(void *ctx, uint64_t look);
    /* Something of the report has changed. May come often; not from inside a call. */
    void (*on_change)(void *ctx);
    void *ctx;
};

/*
 * Finds and adopts the engines of an earlier worker; blocks for that. Nothing is started or stopped
 * before runner_set_desire(). Returns owned.
 */
int runner_set_new(const struct runner_set_params *params, struct runner_set **ret,
                   struct err *err) must_check;

/* The engines run on. NULL is fine. */
void runner_set_free(struct runner_set *set);

/*
 * The worker belongs to the cluster `node->cluster_id`: engines of another one are left alone from
 * now on, and not told of. Before the first desired state.
 */
void runner_set_join(struct runner_set *set);

/* A new desired state; takes its content. */
void runner_set_desire(struct runner_set *set, struct desired_state *desired);

/* The devices were looked at. NULL is fine. */
void runner_set_wake(struct runner_set *set);

/* The runner of an instance, or NULL; valid until the caller returns to the loop. */
struct runner *runner_set_find(const struct runner_set *set, int64_t instance_id);

/* False while an adopted engine hasn't been probed: then a report would tell a guess. */
bool runner_set_is_settled(const struct runner_set *set);

/* Generation of the desired state that was taken up; 0 before the first. */
int64_t runner_set_generation(const struct runner_set *set);

/* The array "instances" of the report. */
void runner_set_write_report(const struct runner_set *set, struct json_writer *w);

/* Folder of the engines' logs. */
const char *runner_set_serve_dir(const struct runner_set *set);
