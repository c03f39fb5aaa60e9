/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: what the reconciler does about model files. Idempotent and
 * deterministic, as the reconciler is; the rules stand in doc/model-files.md.
 *
 *     placed instance, files absent    a row is made, its worker has the lease, it is held
 *     holder out of sight              another worker of the storage that is in contact gets it
 *     all its files are there          the instance is let go: its workers hear of it
 *     unfinished and of no use         its worker removes what it has of it, then the row goes
 *     no worker sees the storage       the row goes
 */
#pragma once

#include "control/cluster.h"

/* One pass over all instances and model files. */
void file_pass(struct cluster *cluster, int64_t now_ms);
