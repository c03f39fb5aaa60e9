/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers' side of control: registration, desired states, reports, liveness.
 *
 * Level-triggered: a worker gets its whole desired state when it connects and whenever it differs;
 * it reports its whole observed state, and is `ready` from its first report on. Contact is judged
 * by the server's monotonic clock alone. A worker that falls silent becomes `not_ready` and its
 * running instances `unreachable`; nothing is deleted and requests are still routed to them.
 * Control's thread.
 */
#pragma once

#include "control/control.h"
#include "http/server.h"

enum {
    FLEET_HEARTBEAT_MS = 5000, /* of the desired stream, and of the workers' reports */
    FLEET_SILENCE_MS = 45000,  /* without a byte from it a worker is not ready */
    FLEET_WORKERS_MAX = 20000,
};

/*
 * Takes a registration body; see ARCHITECTURE.md. Returns the worker's row. ERR_EXISTS when the
 * configured name belongs to another uuid, ERR_INVALID for a bad body.
 */
int fleet_register(struct fleet *fleet, const json_t *body, struct worker **ret,
                   struct err *err) must_check;

/* Answers the exchange with the worker's desired state, now and on every change. */
void fleet_subscribe(struct fleet *fleet, const struct worker *worker, struct http_exchange *ex);

/* Takes a report of worker `worker_id`. ERR_INVALID for a bad body: nothing of it is taken then. */
int fleet_report(struct fleet *fleet, int64_t worker_id, const json_t *body,
                 struct err *err) must_check;
