/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker role: node agent and relay, everything on one loop. See doc/worker.md for its files
 * and states. Stopping it never stops an engine.
 */
#pragma once

#include "config/config.h"
#include "io/loop.h"

struct worker_role;

/*
 * Takes the lock of the data folder, adopts engines, listens on the worker port, starts the prober
 * and joins. `config` (its token set) is borrowed for the role's life. `prober_argv` is the command
 * of the prober, NULL-ended, borrowed too. ERR_CONFLICT: another worker runs on this data folder;
 * -EADDRINUSE: the worker port is taken. Returns owned.
 */
int worker_role_new(struct loop *loop, const struct config *config, const char *const *prober_argv,
                    struct worker_role **ret, struct err *err) must_check;

/* Leaves the engines alone. NULL is fine. */
void worker_role_free(struct worker_role *role);

/*
 * The lock on <data_dir>/run/worker.lock that a worker holds while it lives. Returns the descriptor
 * to keep open; ERR_CONFLICT when a worker runs, with its pid in the text.
 */
int worker_lock(const char *data_dir, struct err *err) must_check;
