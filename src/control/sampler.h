/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the cluster's history: every 10 s the workers' last reports and what gateways told become
 * values of control/series.h, every minute those of the minute. A worker whose last report is older
 * than SAMPLER_FRESH_MS has no values, nor has what requests do while no gateway is heard.
 *
 * Keeps it in a file (control/series_save.h), written on a pool's thread every SAMPLER_SAVE_MS, and
 * less often when it is large: at most SAMPLER_SAVE_RATE bytes a second on the whole. What came
 * after the last time is lost when the process is killed. While it is written it is in memory
 * twice. Control's thread.
 */
#pragma once

#include "control/cluster.h"
#include "control/rates.h"
#include "control/series.h"
#include "io/loop.h"

enum {
    SAMPLER_TICK_MS = 2000,
    SAMPLER_FRESH_MS = 20000,
    SAMPLER_SAVE_MS = 2 * 60 * 1000,
    SAMPLER_SAVE_RATE = 256 << 10,
};

struct sampler;

/*
 * Goes on with what the file holds; one that can't be read is told in the log, and history begins
 * anew. `loop` and `cluster` are borrowed; `path` NULL: nothing is kept. Returns owned.
 */
struct sampler *sampler_new(struct loop *loop, const struct cluster *cluster, const char *path);

/* Before its cluster. What wasn't saved is lost. NULL is fine. */
void sampler_free(struct sampler *sampler);

/* Borrow. */
struct series *sampler_series(struct sampler *sampler);
struct rates *sampler_rates(struct sampler *sampler);

/* Samples no more, saves what there is and then calls done(ctx), once. */
void sampler_end(struct sampler *sampler, void (*done)(void *ctx), void *ctx);
