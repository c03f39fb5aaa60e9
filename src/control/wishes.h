/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/: what a model's gpu_selector asks for. Pure. */
#pragma once

#include "domain/model.h"
#include "domain/worker.h"

struct wishes {
    struct string_list gpu_ids; /* only these devices; empty: any */
    size_t device_count;        /* per instance; 0: none */
};

/*
 * gpus_per_replica, else the replicas' share of the selected devices (at least one), else none.
 * Owned: wishes_fini().
 */
struct wishes wishes_of(const struct model *model);
void wishes_fini(struct wishes *wishes);

/* Whether that device of the worker is among the selected ones; true while it isn't reported. */
bool wishes_allow(const struct wishes *wishes, const struct worker *worker, int64_t index);
