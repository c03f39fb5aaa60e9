/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to the cluster's objects, for people who ask why: see domain/event.h. The same
 * thing again raises a count. Bounded per object and in all, the oldest go; an object's events stay
 * when it is deleted. Deterministic; control's thread.
 *
 *     events_note(cluster, KIND_WORKER, worker, EVENT_LOST, "{\"seconds\":45}", now_ms,
 *                 "no contact for 45 s");
 */
#pragma once

#include "control/cluster.h"

enum { EVENTS_PER_OBJECT_MAX = 50, EVENTS_MAX = 10000 };

/* Whether that has happened to the object, as far as events are kept. */
bool events_has(const struct cluster *cluster, enum kind kind, int64_t id, enum event_code code);

/* `args`: JSON object of the code's arguments or NULL. */
void events_note(struct cluster *cluster, enum kind kind, const void *record, enum event_code code,
                 const char *args, int64_t now_ms, const char *fmt, ...) printf_like(7, 8);
