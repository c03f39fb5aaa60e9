/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of the conversation with control, through the server's public port:
 *
 *      JOINING --registered--> JOINED: desired stream and status reports
 *         ^                      | 401 or 404 on either
 *         +----------------------+
 *
 * Losing the server never touches an engine: the last desired state stays in force. One loop's
 * thread.
 */
#pragma once

#include "worker/downloads.h"
#include "worker/inspections.h"
#include "worker/node.h"
#include "worker/prober.h"
#include "worker/runner_set.h"

struct session;

struct session_params {
    struct loop *loop;
    struct http_pool *pool;
    const struct config *config;
    struct node *node; /* name, ip and cluster_id are set by the session */
    struct runner_set *runners;
    struct inspections *inspections;
    struct downloads *downloads;
    const struct prober *prober;
};

/* Begins to join. ERR_INVALID: the server's URL. Returns owned. */
int session_new(const struct session_params *params, struct session **ret,
                struct err *err) must_check;
void session_free(struct session *session);

/* Something of the report has changed. NULL is fine. */
void session_report(struct session *session);
