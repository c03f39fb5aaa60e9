/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths that control wants this worker to look at: whether a model's files are there, and of
 * some what they are made of. Nothing else is looked at.
 *
 *      asked for --looked at--> told in every report --a minute later, or asked for more--> again
 *
 * One path at a time, on a thread of its own; one that takes longer than 20 s (a network file
 * system that is dead) is told so, left alone, and the next one begins. While 4 are left alone no
 * other begins. Losing the server changes nothing. One loop's thread.
 */
#pragma once

#include "io/loop.h"
#include "worker/desired.h"
#include "worker/inspect.h"

enum {
    INSPECTIONS_AGAIN_MS = 60000,
    INSPECTIONS_STUCK_MS = 20000,
    INSPECTIONS_STUCK_MAX = 4,
    INSPECTIONS_REPORT_BYTES = 512 << 10, /* of shapes in one report; others go with the next */
};

struct inspections;

struct inspections_params {
    struct loop *loop;
    void (*on_change)(void *ctx); /* a report would say something new */
    void *ctx;
    int64_t stuck_ms; /* 0: INSPECTIONS_STUCK_MS */
    int64_t again_ms; /* 0: INSPECTIONS_AGAIN_MS */
    void (*inspect)(const struct inspection_request *request, struct inspection *ret); /* NULL:
                         inspect_path(); any thread */
};

/* Returns owned. */
struct inspections *inspections_new(const struct inspections_params *params);

/* What is under way is left alone. NULL is fine. */
void inspections_free(struct inspections *inspections);

/* What control asks for from now on; the rest is forgotten. Copies. */
void inspections_want(struct inspections *inspections, const struct desired_inspection *wanted,
                      size_t count);

/* The array of what was found, in the order of the wishes. */
void inspections_write_report(const struct inspections *inspections, struct json_writer *w);
