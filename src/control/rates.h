/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests do at this moment, by model, as the gateways tell it every two seconds: live rates,
 * and what a step of 10 s comes to for the history.
 *
 * Gateways tell counts since they began. A gateway is known by the name that its process gave
 * itself: one that starts again is another one, and one that is silent for RATES_SILENCE_MS is
 * forgotten. Live rates are over a gateway's last posts, about RATES_POSTS * 2 s, by its own clock;
 * steps count what came in by ours. Percentiles are read out of histograms, so that they can be
 * summed over gateways, models and time.
 *
 * Deterministic: times are control's monotonic ms, from the caller. Control's thread.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

enum {
    RATES_BUCKETS = 20,   /* of the time to the first token, as gateways have them */
    RATES_POSTS = 3,      /* that a live rate is over */
    RATES_STEPS = 6,      /* of 10 s, that live percentiles are over, and the present one */
    RATES_SILENCE_MS = 10000,
    RATES_GATEWAYS_MAX = 256,
    RATES_MODELS_MAX = 10000,  /* over all gateways; what comes beyond counts for the cluster */
};

enum rates_count {
    RATES_REQUESTS,
    RATES_ERRORS,
    RATES_TOKENS_IN,
    RATES_TOKENS_OUT,
    RATES_COUNTS
};

enum rates_gauge { RATES_RUNNING, RATES_WAITING, RATES_GAUGES };

extern const char *const rates_count_names[RATES_COUNTS]; /* as in a post */
extern const char *const rates_gauge_names[RATES_GAUGES];

/* Of a model, or the cluster. */
struct rates_figures {
    double counts[RATES_COUNTS]; /* per second */
    double gauges[RATES_GAUGES];
    double ttft_p50_ms, ttft_p95_ms; /* NaN: no stream began */
};

struct rates;

/* Its first step begins now. Returns owned. */
struct rates *rates_new(int64_t now_ms);

/* NULL is fine. */
void rates_free(struct rates *rates);

/*
 * Takes a post, which api/openapi.yaml describes and its checks have let pass. ERR_CONFLICT: the
 * gateway isn't known, and this isn't all that it has to tell. ERR_UNAVAILABLE: too many gateways.
 */
int rates_take(struct rates *rates, const json_t *post, int64_t now_ms, struct err *err) must_check;

/* Forgets gateways that are silent, and notes how many requests there are just now; every 2 s. */
void rates_tick(struct rates *rates, int64_t now_ms);

/* Whether any gateway is heard: else nothing is known, and all figures are of no worth. */
bool rates_is_heard(const struct rates *rates);

/* The live figures of a model; of the cluster for 0. */
void rates_read(const struct rates *rates, int64_t model_id, struct rates_figures *ret);

/*
 * A step of about 10 s is over: what it comes to, by the time that it has really taken, is in
 * rates_step() until the next one is.
 */
void rates_end_step(struct rates *rates, int64_t now_ms);

/* What the last step came to. False: nothing happened in it. */
bool rates_step(const struct rates *rates, int64_t model_id, struct rates_figures *ret);

/* Percentiles over the last `steps` steps that are over, at most RATES_STEPS. */
void rates_percentiles(const struct rates *rates, int64_t model_id, unsigned steps,
                       struct rates_figures *ret);

/* Calls `each` for every model that figures are known of. It may call rates_drop() for that one. */
void rates_each(struct rates *rates, void (*each)(int64_t model_id, void *ctx), void *ctx);

/* The model is gone. */
void rates_drop(struct rates *rates, int64_t model_id);
