/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which models of the catalog this cluster could run now: the answers of placement for all of them,
 * made anew when somebody asks and the cluster has changed. They are worked out in slices, between
 * which control's loop goes on; what is known of files that were read goes before what the catalog
 * says of them, and no hub is asked. doc/catalog.md says what the words mean.
 *
 *     if (!catalog_fit_is_fresh(fit))
 *         catalog_fit_await(fit, done, ctx);
 *     ...
 *     const struct fit_row *rows = catalog_fit_rows(fit, &count);
 *
 * Control's thread.
 */
#pragma once

#include "catalog/catalog.h"
#include "control/control.h"
#include "domain/reason.h"
#include "sched/place.h"

enum {
    FIT_FRESH_MS = 10000, /* heartbeats change what is free: so old may an answer be */
    FIT_SLICE_MS = 15,    /* after which no further spec is begun in a turn */
    FIT_PAUSE_MS = 5,     /* between two slices */
};

enum fit {
    FIT_NO,
    FIT_PARTLY, /* some or all of its layers on processors, though there are devices */
    FIT_WHOLE,
    FIT_COUNT
};

struct fit_row {
    const struct catalog_spec *spec;
    enum fit fit;
    bool is_stated;          /* reckoned by what the catalog says, not by what was read */
    bool fits_empty_cluster; /* it would if no instance ran */
    /* With FIT_NO: why, and what most workers have against it. */
    enum reason reason;
    enum place_refusal refusal; /* with REASON_NO_WORKER_FITS */
    char *message;              /* of settings that can't be; owned; NULL: none */
    /* Else: where one instance would go. */
    enum place_mode mode;
    const char *engine;      /* NULL: not known */
    unsigned tensor_parallel, pipeline_parallel;
    uint64_t context_length, ram_bytes, vram_bytes;
    unsigned workers, devices;
    unsigned replicas;       /* that have room at once, PLACE_CAPACITY_MAX at most */
};

struct catalog_fit;

/* Returns owned; borrows control. */
struct catalog_fit *catalog_fit_new(struct control *control);

/* Ends the waits. NULL is fine. */
void catalog_fit_free(struct catalog_fit *fit);

/* Whether the rows tell of the cluster as it is. */
bool catalog_fit_is_fresh(const struct catalog_fit *fit);

/* Calls done(ctx) once, when there are rows, or as control ends. Never from inside this call. */
void catalog_fit_await(struct catalog_fit *fit, void (*done)(void *ctx), void *ctx);

/* All specs in the order of their ids. Borrowed until the end of this turn. */
const struct fit_row *catalog_fit_rows(const struct catalog_fit *fit, size_t *ret_count);

/* "fits", "fits_partly", "no". */
const char *fit_name(enum fit fit);

/* Only src/control/: a record was put or deleted durably. */
void catalog_fit_note_change(struct catalog_fit *fit, enum kind kind);
