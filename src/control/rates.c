/* SPDX-License-Identifier: Apache-2.0 */
#include "control/rates.h"

#include <math.h>
#include <string.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

const char *const rates_count_names[RATES_COUNTS] = {
    [RATES_REQUESTS] = "requests",
    [RATES_ERRORS] = "errors",
    [RATES_TOKENS_IN] = "tokens_in",
    [RATES_TOKENS_OUT] = "tokens_out",
};
const char *const rates_gauge_names[RATES_GAUGES] = {[RATES_RUNNING] = "running",
                                                     [RATES_WAITING] = "waiting"};

/* Upper bounds of the buckets, in ms; the last bucket has none. They are those of the gateway's
 * histogram_first_token, which tests/unit/gateway/test_live.c holds to them. */
static const double bounds_ms[RATES_BUCKETS - 1] = {
    1,   5,    10,   20,   40,   60,   80,    100,   250,  500,
    750, 1000, 2500, 5000, 7500, 10000, 20000, 30000, 60000};

enum {
    STEP_MIN_MS = 1000, /* what is shorter says little */
    POSTS_KEPT = RATES_POSTS + 1,      /* a rate over three posts needs what was before them */
    HISTOGRAMS_KEPT = RATES_STEPS + 1, /* the present one is at `step` % HISTOGRAMS_KEPT */
};

/* What a gateway tells of a model: counts since it began, by post, like its ages. */
struct seen {
    UT_hash_handle hh;
    int64_t model_id; /* key */
    int64_t counts[POSTS_KEPT][RATES_COUNTS];
    int64_t first_token[RATES_BUCKETS];
    int64_t gauges[RATES_GAUGES];
};

struct gateway {
    UT_hash_handle hh;
    char *life;       /* key; owned */
    struct seen *seen; /* uthash by model_id */
    int64_t ages_ms[POSTS_KEPT];
    unsigned post_count; /* the last one is at (post_count - 1) % POSTS_KEPT */
    int64_t heard_ms;
};

/* What a step comes to, while it lasts. */
struct step {
    int64_t counts[RATES_COUNTS];
    int64_t gauge_sums[RATES_GAUGES];
};

/* A model over all gateways; the cluster has the id 0. */
struct total {
    UT_hash_handle hh;
    int64_t model_id; /* key */
    struct step present, last;
    uint32_t first_token[HISTOGRAMS_KEPT][RATES_BUCKETS]; /* by step */
};

struct rates {
    struct gateway *gateways; /* uthash by life */
    struct total *totals;     /* uthash by model_id; 0 is always there */
    uint64_t step;
    int64_t began_ms, last_ms; /* the present step; how long the last one took */
    unsigned ticks, last_ticks; /* in the present step, in the last one */
};

static struct total *find_total(const struct rates *rates, int64_t model_id)
{
    struct total *total = NULL;
    HASH_FIND(hh, rates->totals, &model_id, sizeof model_id, total);
    return total;
}

static struct total *get_total(struct rates *rates, int64_t model_id)
{
    struct total *total = find_total(rates, model_id);
    if (total || HASH_COUNT(rates->totals) > RATES_MODELS_MAX)
        return total;
    total = mem_alloc(sizeof *total);
    total->model_id = model_id;
    HASH_ADD(hh, rates->totals, model_id, sizeof total->model_id, total);
    return total;
}

/* ---- gateways ---- */

static struct gateway *find_gateway(const struct rates *rates, const char *life)
{
    struct gateway *gateway = NULL;
    HASH_FIND_STR(rates->gateways, life, gateway);
    return gateway;
}

static struct gateway *add_gateway(struct rates *rates, const char *life)
{
    struct gateway *gateway = mem_alloc(sizeof *gateway);
    gateway->life = mem_strdup(life);
    HASH_ADD_KEYPTR(hh, rates->gateways, gateway->life, strlen(gateway->life), gateway);
    return gateway;
}

static void drop_gateway(struct rates *rates, struct gateway *gateway)
{
    struct seen *seen, *next;
    HASH_ITER(hh, gateway->seen, seen, next) {
        HASH_DEL(gateway->seen, seen);
        free(seen);
    }
    HASH_DEL(rates->gateways, gateway);
    free(gateway->life);
    free(gateway);
}

static struct seen *get_seen(struct gateway *gateway, int64_t model_id)
{
    struct seen *seen = NULL;
    HASH_FIND(hh, gateway->seen, &model_id, sizeof model_id, seen);
    if (seen || HASH_COUNT(gateway->seen) > RATES_MODELS_MAX)
        return seen;
    seen = mem_alloc(sizeof *seen);
    seen->model_id = model_id;
    HASH_ADD(hh, gateway->seen, model_id, sizeof seen->model_id, seen);
    return seen;
}

/* ---- posts ---- */

/* Since the post before; a count that has gone back is a fault that isn't to be multiplied. */
static int64_t growth(int64_t before, int64_t now)
{
    return now > before ? now - before : 0;
}

static void add_growth(const struct rates *rates, struct total *total,
                       const int64_t counts[RATES_COUNTS],
                       const int64_t first_token[RATES_BUCKETS])
{
    if (!total)
        return;
    for (int i = 0; i < RATES_COUNTS; i++)
        total->present.counts[i] += counts[i];
    for (int i = 0; i < RATES_BUCKETS; i++)
        total->first_token[rates->step % HISTOGRAMS_KEPT][i] += (uint32_t)first_token[i];
}

/* `post` is the place among the gateway's posts. `is_old`: what it has counted was before we heard
 * of it. */
static void take_model(struct rates *rates, struct gateway *gateway, const json_t *model,
                       unsigned post, bool is_old)
{
    int64_t counts[RATES_COUNTS], first_token[RATES_BUCKETS];
    int64_t model_id = json_member_int(model, "model_id", 0);
    const json_t *buckets = json_object_get(model, "first_token");
    struct seen *seen = get_seen(gateway, model_id);
    if (!seen)
        return;
    for (int i = 0; i < RATES_COUNTS; i++) {
        int64_t now = json_member_int(model, rates_count_names[i], 0);
        counts[i] = growth(seen->counts[post][i], now);
        seen->counts[post][i] = now;
    }
    for (size_t i = 0; i < RATES_BUCKETS; i++) {
        int64_t now = seen->first_token[i];
        (void)json_take_integer(json_array_get(buckets, i), &now);
        first_token[i] = growth(seen->first_token[i], now);
        seen->first_token[i] = now;
    }
    for (int i = 0; i < RATES_GAUGES; i++)
        seen->gauges[i] = json_member_int(model, rates_gauge_names[i], 0);
    if (is_old) {
        for (unsigned i = 0; i < POSTS_KEPT; i++)
            memcpy(seen->counts[i], seen->counts[post], sizeof seen->counts[i]);
        return;
    }
    add_growth(rates, get_total(rates, 0), counts, first_token);
    if (model_id)
        add_growth(rates, get_total(rates, model_id), counts, first_token);
}

/* All counts are as in the post before until it says otherwise, and nothing is under way. */
static unsigned begin_post(struct gateway *gateway, int64_t age_ms)
{
    unsigned before = (gateway->post_count + POSTS_KEPT - 1) % POSTS_KEPT;
    unsigned post = gateway->post_count % POSTS_KEPT;
    gateway->ages_ms[post] = age_ms;
    gateway->post_count++;
    struct seen *seen, *next;
    HASH_ITER(hh, gateway->seen, seen, next) {
        memcpy(seen->counts[post], seen->counts[before], sizeof seen->counts[post]);
        memset(seen->gauges, 0, sizeof seen->gauges);
    }
    return post;
}

int rates_take(struct rates *rates, const json_t *post, int64_t now_ms, struct err *err)
{
    const char *life = json_member_string(post, "gateway");
    int64_t age_ms = json_member_int(post, "age_ms", 0);
    struct gateway *gateway = find_gateway(rates, life);
    bool is_new = !gateway;
    if (is_new && !json_is_true(json_object_get(post, "is_complete")))
        return err_set(err, ERR_CONFLICT, "gateway %.64s isn't known here: tell all", life);
    if (is_new && HASH_COUNT(rates->gateways) >= RATES_GATEWAYS_MAX)
        return err_set(err, ERR_UNAVAILABLE, "%d gateways are known already, as many as may",
                       RATES_GATEWAYS_MAX);
    if (is_new)
        gateway = add_gateway(rates, life);
    gateway->heard_ms = now_ms;
    unsigned place = begin_post(gateway, age_ms);
    size_t i;
    json_t *model;
    json_array_foreach(json_object_get(post, "models"), i, model)
        take_model(rates, gateway, model, place, is_new && age_ms > RATES_SILENCE_MS);
    return 0;
}

static void add_gauges(struct total *total, const int64_t gauges[RATES_GAUGES])
{
    for (int i = 0; total && i < RATES_GAUGES; i++)
        total->present.gauge_sums[i] += gauges[i];
}

void rates_tick(struct rates *rates, int64_t now_ms)
{
    static const int64_t none[RATES_GAUGES];
    struct gateway *gateway, *next;
    HASH_ITER(hh, rates->gateways, gateway, next) {
        if (now_ms - gateway->heard_ms > RATES_SILENCE_MS) {
            drop_gateway(rates, gateway);
            continue;
        }
        for (const struct seen *seen = gateway->seen; seen; seen = seen->hh.next) {
            if (memcmp(seen->gauges, none, sizeof none) == 0)
                continue;
            add_gauges(get_total(rates, 0), seen->gauges);
            if (seen->model_id)
                add_gauges(get_total(rates, seen->model_id), seen->gauges);
        }
    }
    rates->ticks++;
}

bool rates_is_heard(const struct rates *rates)
{
    return rates->gateways != NULL;
}

/* ---- percentiles ---- */

/* Within a bucket durations are taken as spread evenly. */
static double percentile(const uint64_t buckets[RATES_BUCKETS], double share)
{
    uint64_t all = 0, below = 0;
    for (int i = 0; i < RATES_BUCKETS; i++)
        all += buckets[i];
    if (all == 0)
        return NAN;
    double rank = share * (double)all;
    int i = 0;
    while (i < RATES_BUCKETS - 1 && (double)(below + buckets[i]) < rank)
        below += buckets[i++];
    double low = i ? bounds_ms[i - 1] : 0;
    if (i == RATES_BUCKETS - 1 || buckets[i] == 0)
        return low; /* there is no upper bound */
    return low + (bounds_ms[i] - low) * (rank - (double)below) / (double)buckets[i];
}

/* Over `count` steps that are over; the present one comes on top. */
static void read_percentiles(const struct rates *rates, const struct total *total, unsigned count,
                             bool has_present, struct rates_figures *ret)
{
    uint64_t sums[RATES_BUCKETS] = {0};
    for (unsigned back = has_present ? 0 : 1; total && back <= count && back <= rates->step; back++)
        for (int i = 0; i < RATES_BUCKETS; i++)
            sums[i] += total->first_token[(rates->step - back) % HISTOGRAMS_KEPT][i];
    ret->ttft_p50_ms = percentile(sums, 0.5);
    ret->ttft_p95_ms = percentile(sums, 0.95);
}

void rates_percentiles(const struct rates *rates, int64_t model_id, unsigned steps,
                       struct rates_figures *ret)
{
    read_percentiles(rates, find_total(rates, model_id), steps, false, ret);
}

/* ---- live ---- */

static void add_live(const struct gateway *gateway, const struct seen *seen,
                     struct rates_figures *ret)
{
    unsigned newest = (gateway->post_count - 1) % POSTS_KEPT;
    unsigned oldest = gateway->post_count < POSTS_KEPT ? 0 : gateway->post_count % POSTS_KEPT;
    int64_t ms = gateway->ages_ms[newest] - gateway->ages_ms[oldest];
    for (int i = 0; ms > 0 && i < RATES_COUNTS; i++)
        ret->counts[i] +=
            1000.0 * (double)growth(seen->counts[oldest][i], seen->counts[newest][i]) / (double)ms;
    for (int i = 0; i < RATES_GAUGES; i++)
        ret->gauges[i] += (double)seen->gauges[i];
}

void rates_read(const struct rates *rates, int64_t model_id, struct rates_figures *ret)
{
    *ret = (struct rates_figures){0};
    for (struct gateway *gateway = rates->gateways; gateway; gateway = gateway->hh.next) {
        struct seen *seen = gateway->seen;
        if (model_id)
            HASH_FIND(hh, gateway->seen, &model_id, sizeof model_id, seen);
        for (; seen; seen = model_id ? NULL : seen->hh.next)
            add_live(gateway, seen, ret);
    }
    read_percentiles(rates, find_total(rates, model_id), RATES_STEPS, true, ret);
}

/* ---- steps ---- */

void rates_end_step(struct rates *rates, int64_t now_ms)
{
    int64_t took_ms = now_ms - rates->began_ms;
    rates->last_ms = took_ms > STEP_MIN_MS ? took_ms : STEP_MIN_MS;
    rates->began_ms = now_ms;
    rates->step++;
    rates->last_ticks = rates->ticks;
    rates->ticks = 0;
    for (struct total *total = rates->totals; total; total = total->hh.next) {
        total->last = total->present;
        total->present = (struct step){0};
        memset(total->first_token[rates->step % HISTOGRAMS_KEPT], 0,
               sizeof total->first_token[0]);
    }
}

bool rates_step(const struct rates *rates, int64_t model_id, struct rates_figures *ret)
{
    static const struct step nothing;
    const struct total *total = find_total(rates, model_id);
    const struct step *last = total ? &total->last : &nothing;
    *ret = (struct rates_figures){0};
    for (int i = 0; i < RATES_COUNTS; i++)
        ret->counts[i] = 1000.0 * (double)last->counts[i] / (double)rates->last_ms;
    for (int i = 0; i < RATES_GAUGES && rates->last_ticks; i++)
        ret->gauges[i] = (double)last->gauge_sums[i] / rates->last_ticks;
    read_percentiles(rates, total, 1, false, ret);
    return memcmp(last, &nothing, sizeof nothing) != 0 || !isnan(ret->ttft_p50_ms);
}

/* ---- models ---- */

void rates_each(struct rates *rates, void (*each)(int64_t model_id, void *ctx), void *ctx)
{
    struct total *total, *next;
    HASH_ITER(hh, rates->totals, total, next) {
        if (total->model_id)
            each(total->model_id, ctx);
    }
}

void rates_drop(struct rates *rates, int64_t model_id)
{
    struct total *total = find_total(rates, model_id);
    if (!total || model_id == 0)
        return;
    HASH_DEL(rates->totals, total);
    free(total);
}

/* ---- life ---- */

struct rates *rates_new(int64_t now_ms)
{
    struct rates *rates = mem_alloc(sizeof *rates);
    rates->began_ms = now_ms;
    rates->last_ms = STEP_MIN_MS;
    (void)get_total(rates, 0);
    return rates;
}

void rates_free(struct rates *rates)
{
    if (!rates)
        return;
    struct gateway *gateway, *next_gateway;
    HASH_ITER(hh, rates->gateways, gateway, next_gateway)
        drop_gateway(rates, gateway);
    struct total *total, *next;
    HASH_ITER(hh, rates->totals, total, next) {
        HASH_DEL(rates->totals, total);
        free(total);
    }
    free(rates);
}
