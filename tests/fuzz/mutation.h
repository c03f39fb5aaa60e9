/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds and mutations for tests that try many inputs without a fuzzer. The same seeds and words
 * give the same inputs everywhere, so a failure comes again.
 *
 *     struct mutation mutation = {.words = words, .word_count = ARRAY_LEN(words)};
 *     mutation_read_seeds(&mutation, folder);
 *     for (...) { mutation_make(&mutation, &text); try(text); }
 *     mutation_fini(&mutation);
 */
#pragma once

#include "base/buf.h"

#include <stdint.h>

enum {
    MUTATION_SEEDS_MAX = 64,
    MUTATION_INPUT_MAX = 16384, /* bytes */
    MUTATION_STEPS_MAX = 4,     /* changes to a seed */
};

struct mutation {
    const char *const *words; /* that are put in, beside single bytes */
    size_t word_count;
    struct buf seeds[MUTATION_SEEDS_MAX];
    size_t seed_count;
    uint64_t random; /* state */
};

/* Reads the files of a folder, in the order of their names; one too large ends the test. */
void mutation_read_seeds(struct mutation *mutation, const char *folder);

/* Replaces `text` by the next input: a seed with some changes. There must be a seed. */
void mutation_make(struct mutation *mutation, struct buf *text);

/* Frees the seeds. */
void mutation_fini(struct mutation *mutation);
