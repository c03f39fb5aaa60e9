/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: starts the roles, watches them, starts them again, stops them in order. It holds
 * no state of the cluster and initialises neither TLS nor the store, so that it stays tiny and has
 * nothing to fail by. One process, one thread; as PID 1 or not, it reaps every orphan below it.
 *
 * Order of stopping: gateway (finishes its requests), worker (its engines go on), control.
 */
#pragma once

#include "config/config.h"

struct supervisor_params {
    struct config *config; /* complete, with token; changed by a reload; borrowed */
    int argc;              /* of `gpustack start`, to load the configuration again */
    char **argv;
};

/* Runs until SIGTERM, SIGINT or a role that refuses its first start. Returns the exit status. */
int supervisor_run(const struct supervisor_params *params);
