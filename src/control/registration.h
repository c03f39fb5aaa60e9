/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/ and its tests: taking a worker's registration. Deterministic. */
#pragma once

#include "control/cluster.h"

enum { REGISTRATION_WORKERS_MAX = 20000 };

struct registration_env {
    int64_t now_ms;                  /* wall clock, for the record's times */
    char *(*make_digits)(void *ctx); /* 5 fresh digits for a name that is taken; returns owned */
    void *ctx;
};

/*
 * Takes a registration body (see ARCHITECTURE.md) and returns the worker's row: the one of its uuid
 * with what changed, else a fresh one, not ready before its first report. ERR_EXISTS when the
 * configured name belongs to another uuid, ERR_INVALID for a bad body, ERR_TOO_LARGE.
 */
int registration_apply(struct cluster *cluster, const json_t *body,
                       const struct registration_env *env, struct worker **ret,
                       struct err *err) must_check;
