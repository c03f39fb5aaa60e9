/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/, api/workers.c and tests: what a worker's silence, its return and its
 * maintenance mean for the records.
 *
 * Lost contact is unknown, not dead: the worker becomes `not_ready` and its running instances
 * `unreachable`; nothing is deleted and requests are still routed to them. Contact is judged by the
 * server's monotonic clock alone. Deterministic.
 */
#pragma once

#include "control/cluster.h"

enum { LIVENESS_SILENCE_MS = 45000 }; /* without a byte from it a worker is not ready */

/* Whether `worker`, last heard at `contact_ms`, counts as in contact and is silent for too long. */
bool liveness_is_overdue(const struct worker *worker, int64_t contact_ms, int64_t now_mono_ms);

/* It fell silent. `now_ms` is wall clock, for the records' times. */
void liveness_lose(struct cluster *cluster, const struct worker *worker, int64_t now_ms);

/* It has reported; nothing changes when it was in contact. */
void liveness_regain(struct cluster *cluster, const struct worker *worker, int64_t now_ms);

/* Its state by what its `maintenance` says now; a silent one stays not ready. */
void liveness_settle(struct cluster *cluster, const struct worker *worker, int64_t now_ms,
                     bool is_in_contact);
