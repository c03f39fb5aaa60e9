/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/sched/ may include this: what the decision and its words have in common. */
#pragma once

#include "sched/place.h"

/* Main memory that is left for another instance. */
uint64_t place_ram_free(const struct place_worker *worker);

/* First label of the selector that is missing or otherwise, or -1. */
int place_mismatched_label(const struct string_map *selector, const struct string_map *labels);

/* Devices of the worker that the request may have. */
size_t place_devices_free(const struct place_request *request, const struct place_worker *worker);

/* Says why each worker refuses, and counts them by refusal; see place(). */
void place_explain(const struct place_request *request, const struct place_worker *workers,
                   size_t count, struct buf *reasons, unsigned *refusals);
