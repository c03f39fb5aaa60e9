/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for a text in a run's log, piece by piece: each step reads at most so many bytes and says
 * where it stands, so that a log of any size is searched in bounded memory, and given up when
 * nobody waits any more. The log may grow and be rotated meanwhile. Blocks; any thread, one at a
 * time.
 *
 *     struct logsearch search;
 *     logsearch_init(&search, &params);
 *     while (!search.is_over && logsearch_step(&search, 32 << 20, &err) == 0)
 *         ...;
 *     logsearch_fini(&search);
 */
#pragma once

#include "proc/logfile.h"

enum {
    LOGSEARCH_TEXT_MAX = 256,     /* bytes that are looked for */
    LOGSEARCH_FOUND_MAX = 1000,   /* places of one search */
    LOGSEARCH_LINE_BACK = 8192,   /* how far before a place its line's beginning is looked for */
    LOGSEARCH_EXCERPT_MAX = 400,  /* bytes of a line that are shown */
};

struct logsearch_params {
    const char *dir, *name; /* as of logfile calls */
    unsigned run;
    struct str text;     /* 1-LOGSEARCH_TEXT_MAX bytes */
    bool matches_case;   /* else ASCII letters are the same in both cases */
    bool is_backward;    /* the latest first */
    int64_t from;        /* forward: the first byte that counts; backward: all places are before it;
                            negative: from the log's beginning, or its end */
    unsigned limit;      /* 1-LOGSEARCH_FOUND_MAX places */
};

struct logsearch {
    char *dir, *name, *text; /* owned */
    size_t length;
    unsigned run, limit;
    bool matches_case, is_backward;
    uint64_t *found; /* owned: positions, in the order of the search */
    unsigned count;
    uint64_t pos;        /* what is before (backward: from there on) was looked through; going on
                            from here finds the rest, each place once */
    uint64_t first, end; /* what there is of the log */
    uint64_t scanned;    /* bytes that were looked at */
    bool is_over;        /* the limit is reached, or all was looked through, and then: */
    bool is_complete;
    struct buf block; /* memory of the steps */
};

/* Copies what `params` says. */
void logsearch_init(struct logsearch *search, const struct logsearch_params *params);
void logsearch_fini(struct logsearch *search);

/* Looks through about `bytes` more. -ENOENT when the run has gone, -errno. */
int logsearch_step(struct logsearch *search, uint64_t bytes, struct err *err) must_check;

/* A place with its line. */
struct logsearch_excerpt {
    uint64_t offset;     /* of what was found */
    uint64_t line_start; /* at most LOGSEARCH_LINE_BACK before */
    uint64_t text_start; /* of the text */
    struct str text;     /* the line, or what is around the place; no character is cut in two;
                            borrows from the search, until the next call */
};

/* The `i`th that was found. ERR_NOT_FOUND when it isn't kept any more, -errno. */
int logsearch_excerpt(struct logsearch *search, unsigned i, struct logsearch_excerpt *ret,
                      struct err *err) must_check;
