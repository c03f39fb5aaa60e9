/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers' side of control: registration, desired states, reports, liveness.
 *
 * Level-triggered: a worker gets its whole desired state when it connects and whenever it differs;
 * it reports its whole observed state, and is `ready` from its first report on. What its silence
 * means stands in control/liveness.h. Control's thread.
 */
#pragma once

#include "control/control.h"
#include "http/server.h"

enum { FLEET_HEARTBEAT_MS = 5000 }; /* of the desired stream, and of the workers' reports */

/*
 * Takes a registration body; see ARCHITECTURE.md. Returns the worker's row and the number of its
 * session, which its reports carry. ERR_EXISTS when the
 * configured name belongs to another uuid, ERR_INVALID for a bad body.
 */
int fleet_register(struct fleet *fleet, const json_t *body, struct worker **ret,
                   int64_t *ret_session, struct err *err) must_check;

/* Answers the exchange with the worker's desired state, now and on every change. */
void fleet_subscribe(struct fleet *fleet, const struct worker *worker, struct http_exchange *ex);

/*
 * Takes a report of worker `worker_id`; one that is older than another that came is ignored.
 * ERR_INVALID for a bad body: nothing of it is taken then. ERR_UNAUTHORIZED: register again.
 */
int fleet_report(struct fleet *fleet, int64_t worker_id, const json_t *body,
                 struct err *err) must_check;
