/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time series in memory of bounded size: per entity (the cluster, a worker, a device, a model) a
 * few metrics in steps of 10 s for at least 6 hours and of a minute for at least 14 days.
 *
 * A value is kept in 16 bits: a float without sign, of 6 bits of exponent and 10 of fraction, which
 * is exact to one part in two thousand. A *block* holds SERIES_BLOCK_STEPS steps of all metrics of
 * an entity, so a device (4 metrics) has blocks of 2.8 KiB, at most 64 of them (180 KiB); a worker
 * with 6 metrics takes 270 KiB, a model with 8 360 KiB. Blocks are made when the first value falls
 * into them. Beyond `budget_bytes` in all, the oldest blocks of all entities go together: first
 * those of minutes down to the last day, then those of 10 s down to the last hour, and then nothing
 * new is kept. 1,000 devices fit into 256 MiB whole, 5,000 have 6 hours of 10 s and 2.5 days of
 * minutes.
 *
 * What nobody reported is no value (NaN), never 0. Models that are idle take no memory: a step in
 * which nothing happened to a model need not be put, and reads as 0 where the cluster's own counts
 * are known.
 *
 * Deterministic: times come from the caller, as wall-clock ms. A clock that jumps back overwrites
 * what it comes to again. Control's thread, but for what series_save.h says of copies.
 *
 *     struct series *series = series_new(SERIES_BUDGET_BYTES);
 *     series_put(series, SERIES_FINE, &key, at_ms, values);
 *     series_read(series, &key, metric, &range, out);
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SERIES_BLOCK_STEPS = 360,
    SERIES_BUDGET_BYTES = 256 << 20,
    SERIES_METRICS_MAX = 16, /* of an entity */
    SERIES_FINE_BLOCKS = 7,    /* of an hour: 6 hours and the present one */
    SERIES_MINUTE_BLOCKS = 57, /* of 6 hours: 14 days and the present ones */
    SERIES_FINE_KEPT = 2,      /* that the budget never takes */
    SERIES_MINUTE_KEPT = 5,
};

enum series_level { SERIES_FINE, SERIES_MINUTE, SERIES_LEVELS };

extern const int64_t series_step_s[SERIES_LEVELS];   /* 10, 60 */
extern const int64_t series_kept_s[SERIES_LEVELS];   /* at least, within the budget */

enum series_entity {
    SERIES_CLUSTER,
    SERIES_WORKER,
    SERIES_DEVICE,
    SERIES_MODEL,
    SERIES_ENTITIES
};

extern const char *const series_entity_names[SERIES_ENTITIES];

enum series_metric {
    SERIES_UTILIZATION, /* of devices: percent; the mean of several */
    SERIES_MEMORY_USED, /* of devices: bytes; the sum of several */
    SERIES_TEMPERATURE, /* of devices: degrees C; the hottest of several */
    SERIES_POWER,       /* of devices: W; the sum of several */
    SERIES_CPU,         /* of workers: percent; the mean of several */
    SERIES_RAM_USED,    /* of workers: bytes; the sum of several */
    SERIES_TOKENS_IN,   /* per second, as the next three */
    SERIES_TOKENS_OUT,
    SERIES_REQUESTS, /* that ended */
    SERIES_ERRORS,   /* of these, by no fault of the client's */
    SERIES_RUNNING,  /* requests at a time: the mean over the step, as the next one */
    SERIES_WAITING,
    SERIES_TTFT_P50, /* ms to a stream's first token */
    SERIES_TTFT_P95,
    SERIES_METRICS
};

extern const char *const series_metric_names[SERIES_METRICS];

/* What an entity's metrics are, in the order in which they are kept; later versions append. */
struct series_shape {
    unsigned count;
    unsigned char metrics[SERIES_METRICS_MAX];
};

extern const struct series_shape series_shapes[SERIES_ENTITIES];

/* Whether entities of that kind have the metric. */
bool series_has(enum series_entity entity, enum series_metric metric);

struct series_key {
    int64_t entity; /* enum series_entity */
    int64_t id;     /* of the model or worker; 0 of the cluster */
    int64_t index;  /* of the device on its worker; else 0 */
};

struct series;

/* Empty. Returns owned; free takes NULL. */
struct series *series_new(size_t budget_bytes);
void series_free(struct series *series);

/*
 * Sets the values of the step in which `at_ms` lies; NaN or less than 0: not known. `values` has a
 * place for each of enum series_metric, of which the entity's own are taken. False: the budget has
 * no room for a further block.
 */
bool series_put(struct series *series, enum series_level level, const struct series_key *key,
                int64_t at_ms, const float values[SERIES_METRICS]);

/* Whether a block for that time is there already, so that putting takes no memory. */
bool series_has_block(const struct series *series, enum series_level level,
                      const struct series_key *key, int64_t at_ms);

/*
 * Means over the minute in which `at_ms` lies, out of its 10 s steps: of the known ones, or, when
 * `steps` isn't 0, of so many steps, those that aren't known being 0. NaN where none is known.
 */
void series_minute_means(const struct series *series, const struct series_key *key, int64_t at_ms,
                         unsigned steps, float ret[SERIES_METRICS]);

struct series_range {
    int64_t start_s; /* since 1970; a multiple of the step */
    int64_t step_s;  /* a multiple of 10; of 60: it is read from the minutes */
    size_t count;    /* of points */
};

/*
 * Point i is the mean of the known values from start + i * step on; NaN when none is known. An
 * entity that isn't known has none.
 */
void series_read(const struct series *series, const struct series_key *key,
                 enum series_metric metric, const struct series_range *range, float *ret);

/* Lets go of what is older than is kept by now, and of what lies behind now: the clock has jumped.
 */
void series_expire(struct series *series, int64_t now_ms);

/* Bytes that its blocks and entities take. */
size_t series_bytes(const struct series *series);

/* How many of the newest blocks of that level are kept under the present load. */
unsigned series_kept_blocks(const struct series *series, enum series_level level);

/* ---- for series_save.h ---- */

/* What a block holds. Its bytes don't change any more while somebody has a reference. */
struct series_block {
    unsigned references; /* control's thread only */
    int64_t slot; /* its begin in s by the seconds that a block lasts */
    uint16_t values[]; /* metric by metric, SERIES_BLOCK_STEPS of each */
};

struct series_copy_item {
    struct series_key key;
    enum series_level level;
    struct series_block *block; /* a reference */
};

/* All blocks as they are now: putting goes on in blocks of its own. */
struct series_copy {
    struct series_copy_item *items; /* owned */
    size_t count;
};

/* Owned by the caller: series_copy_fini(). */
void series_copy(struct series *series, struct series_copy *ret);
/* The series may be gone. */
void series_copy_fini(struct series_copy *copy);

/*
 * Puts a block as it was saved: `values` are of `count` metrics, which may be fewer than entities
 * of that kind have now. False when there is no room.
 */
bool series_load_block(struct series *series, const struct series_copy_item *item,
                       const uint16_t *values, unsigned count);

/* A value in its 16 bits. */
uint16_t series_pack(float value);
float series_unpack(uint16_t packed);
