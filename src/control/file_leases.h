/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: which worker fetches a model file. Deterministic.
 */
#pragma once

#include "control/cluster.h"

/* Whether a worker of the cluster, in contact or not, has that storage. */
bool file_leases_has_storage(const struct cluster *cluster, const char *storage_id);

/*
 * The worker that shall have the row's lease: the one that has it, as long as it can do what is
 * due; else the first that can, those first whose instances need the file. When none can it stays
 * where it is.
 */
int64_t file_leases_holder(const struct cluster *cluster, const struct model_file *file);
