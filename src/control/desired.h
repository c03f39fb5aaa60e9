/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/ and its tests: a worker's desired state as JSON. Pure. */
#pragma once

#include "control/cluster.h"

/* The array of instances that `worker_id` shall run: the same text for the same state. */
void desired_write(const struct cluster *cluster, int64_t worker_id, struct buf *out);
