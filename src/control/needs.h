/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only src/control/ and its tests: what a model needs on each class of devices of a cluster, from
 * what it is made of and its parameters. Estimates are kept, since each decision asks again.
 * Deterministic; control's thread.
 *
 *     struct need need;
 *     needs_of(needs, model, &source, &view, &need);
 *     need_fill(&need, &request);   // valid until the next needs_of()
 */
#pragma once

#include "control/cluster.h"
#include "domain/claim.h"
#include "estimate/correction.h"
#include "sched/place.h"

enum {
    NEEDS_PROFILES_MAX = 32768, /* kept; above it all are made anew */
    NEEDS_WORKERS_MAX = 8,      /* of a gang */
};

/* How much is known of a model's files. */
enum known {
    KNOWN_NOT,         /* nobody can tell: it is placed by its wishes alone */
    KNOWN_SOON,        /* being found out */
    KNOWN_UNREACHABLE, /* the files can't be reached */
    KNOWN_MISSING,     /* they aren't there */
    KNOWN_SHAPE,
};

/* What is known of a model's files; all borrowed. The zero value: nothing. */
struct need_source {
    enum known known;
    const char *key;                    /* of the files: equal keys, equal files */
    const struct model_shape *shape;    /* with KNOWN_SHAPE */
    const struct model_shape *projector;
    const char *message;
    bool is_stated;                     /* the shape is the catalog's, the files weren't read */
    const struct int_list *absent_on;   /* workers without the path; NULL: none */
};

struct needs;

struct need {
    bool is_known;                         /* false: see `error`, or nothing is known */
    struct place_ways ways[PLACE_CLASSES_MAX];
    const struct estimate_profile *processor;
    enum estimate_engine engine;
    const char *engine_name;               /* that a worker must have; NULL: not known */
    char error[768];                       /* parameters that can't be; "" */
    /* for the split over unlike devices */
    const struct model *model;
    const struct need_source *source;
    const struct place_view *view;
};

/* `corrections` may be NULL; borrowed for its life. Returns owned. */
struct needs *needs_new(const struct correction_table *corrections);
void needs_free(struct needs *needs);

/* Those that it was made with. Borrowed. */
const struct correction_table *needs_corrections(const struct needs *needs);

/* Fills in `ret`, which borrows from all arguments and, until the next call, from `needs`. */
void needs_of(struct needs *needs, const struct model *model, const struct need_source *source,
              const struct place_view *view, struct need *ret);

/* Sets what is needed in a request. */
void need_fill(struct need *need, struct place_request *request);

/* The demand by which a model counts in what is expected to come; false: it is for no device. */
bool need_demand(const struct need *need, struct demand *ret);

/* The estimate of a model as it was placed by that claim, on those devices; uncorrected. */
int needs_estimate(const struct model *model, const struct need_source *source,
                   const struct estimate_device *devices, const struct resource_claim *claim,
                   struct estimate *ret, struct err *err) must_check;

/*
 * The estimate behind a place that was found for it, device by device in the order of the result's
 * ranks; uncorrected. Not for a place that is had whole or split over unlike devices: ERR_INVALID.
 */
int needs_estimate_place(const struct need *need, const struct place_result *result,
                         struct estimate *ret, struct err *err) must_check;

/* The rules by which a model is estimated that isn't of a cluster of Ascend's devices alone. */
enum estimate_engine needs_engine_of(const struct model *model, const struct model_shape *shape);

/* A type of devices as estimates call its vendor ("npu": "ascend"); NULL: unknown. */
const char *needs_vendor_of(const char *type);

/* The engine that a model runs on when it names none, by what it is made of; NULL: unknown. */
const char *needs_usual_engine(const struct model_shape *shape);
