/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/ and its tests: taking a worker's report of what it observes. Deterministic. */
#pragma once

#include "control/cluster.h"

enum { REPORT_DEVICES_MAX = 1024 };

struct report_env {
    int64_t now_ms;      /* server's wall clock */
    int64_t now_mono_ms; /* and its monotonic one */
    bool is_current; /* the worker has taken up the latest desired state: what it doesn't list is
                        not there */
};

/*
 * Writes status and instances of the report into the records of worker `worker_id`. Only observed
 * fields are taken, only for instances that are placed there; others are ignored (the worker will
 * learn that they aren't wanted). ERR_INVALID for a bad body: then nothing of it is taken.
 */
int report_apply(struct cluster *cluster, int64_t worker_id, const json_t *body,
                 const struct report_env *env, struct err *err) must_check;
