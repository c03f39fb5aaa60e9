/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: entering a state, with its reason, timeline and event.
 * Deterministic.
 */
#pragma once

#include "control/cluster.h"
#include "domain/timeline.h"

/*
 * Sets the state of a copy of an instance, which the caller then puts, and notes what people want
 * to know of as an event. `copy` must have its id.
 */
void state_enter(struct cluster *cluster, struct model_instance *copy, enum instance_state state,
                 const struct cause *cause, int64_t now_ms);
