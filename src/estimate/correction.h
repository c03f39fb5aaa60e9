/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learning from what engines really take: claim = estimate + P95(measured - estimate) over the last
 * samples of the same engine, version and architecture. Pure; the caller keeps the table.
 *
 * An architecture has models of all sizes: what a larger one was off by counts in proportion, what
 * a smaller one was off by as it is. From CORRECTION_TRUSTED samples on the percentile is rounded
 * down, so that a single outlier among them decides nothing.
 *
 *     correction_add(&table, &key, estimated, measured);
 *     uint64_t claim = correction_apply(&table, &key, estimated);
 *
 * Bounded on all sides: samples per key, keys per table (the one that was longest without a sample
 * goes), and the correction: never below three quarters of the estimate, nor above twice it, and
 * downwards only with CORRECTION_TRUSTED samples.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    CORRECTION_SAMPLES_MAX = 64, /* newer ones replace the oldest */
    CORRECTION_KEYS_MAX = 512,
    CORRECTION_TRUSTED = 8,
    CORRECTION_NAME_SIZE = 64, /* longer names are cut off */
};

struct correction_key {
    char engine[CORRECTION_NAME_SIZE];       /* "vllm" */
    char version[CORRECTION_NAME_SIZE];      /* "0.10.2" */
    char architecture[CORRECTION_NAME_SIZE]; /* "qwen3moe" */
};

struct correction {
    struct correction_key key;
    int64_t deltas[CORRECTION_SAMPLES_MAX]; /* measured - estimated, of a device; bytes */
    uint64_t estimates[CORRECTION_SAMPLES_MAX]; /* that they belong to */
    unsigned count;
    unsigned next;     /* place of the next sample */
    uint64_t used;     /* number of the table's sample that was the last one here */
};

/* The zero value is empty. */
struct correction_table {
    struct correction *items; /* owned */
    size_t count;
    uint64_t samples; /* so far */
};

/* Makes a key; names that are NULL are "". */
struct correction_key correction_key_of(const char *engine, const char *version,
                                        const char *architecture);

/* Notes what one device of a running instance took, where `estimated` was foretold. */
void correction_add(struct correction_table *table, const struct correction_key *key,
                    uint64_t estimated, uint64_t measured);

/* The 95th percentile of the deltas as they count for such an estimate; 0 without samples. */
int64_t correction_delta(const struct correction *correction, uint64_t estimated);

/* The estimate as experience corrects it. */
uint64_t correction_apply(const struct correction_table *table, const struct correction_key *key,
                          uint64_t estimated);

/* The samples of a key, or NULL. Borrowed until the next change. */
const struct correction *correction_find(const struct correction_table *table,
                                         const struct correction_key *key);

/* Frees what it owns and zeroes it. */
void correction_table_fini(struct correction_table *table);
