/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a place that was found could be had at once, by what is free: of each worker's devices
 * as many groups as there is memory for, and of workers as many gangs. Links and costs aren't
 * looked at, nor other ways to run it. Pure.
 */
#pragma once

#include "sched/place.h"

enum { PLACE_CAPACITY_MAX = 1000 }; /* more isn't counted */

/* At least 1: `result` is a place that place() has found for the request in that view. */
unsigned place_capacity(const struct place_view *view, const struct place_request *request,
                        const struct place_result *result);
