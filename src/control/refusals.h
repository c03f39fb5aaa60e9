/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: workers that had less room than was measured, so that they did
 * not start an instance. A fresh one takes its place elsewhere; they are remembered in its field
 * `refusals` for a while, with the difference:
 *
 *     [{"worker_id":3,"gpu_index":0,"needs":N,"free":N,"reported":N,"at":WALL_MS}]
 *
 * `reported` is what the worker's last report before it called free of that device: as long as that
 * is what it says, it isn't news of free memory.
 *
 * Deterministic.
 */
#pragma once

#include "control/cluster.h"

enum {
    REFUSALS_MAX = 16,          /* of an instance; the oldest go */
    REFUSAL_LASTS_MS = 600000,  /* unless the worker reports enough free memory before */
    REFUSAL_REPORT_MS = 60000,  /* after which its reports are newer than the refusal */
};

/* The instance's refusals with the one that it is in now. Returns owned. */
char *refusals_after(const struct model_instance *instance, const struct cluster *cluster,
                     int64_t now_ms);

/* Whether a worker has refused the instance, which hasn't been taken back yet. */
bool refusals_is_refused(const struct model_instance *instance);

/* Workers that still count as refusing it; adds them to `ret`. */
void refusals_active(const struct model_instance *instance, const struct cluster *cluster,
                     int64_t now_ms, struct int_list *ret);
