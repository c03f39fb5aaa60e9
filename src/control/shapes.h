/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cluster's models are made of: the catalogue of shapes, by where the files are.
 *
 * Whoever wants to know asks with shapes_of(), which answers at once with what is known and starts
 * what has to be started: hubs are read here (control/hub_reads.h), paths are asked of the workers,
 * which tell in their reports whether they have them and, one of them, what they are made of. What
 * was read is kept (domain/model_metadata.h) and serves at once after a restart; a hub is asked
 * again after an hour. Of the models of catalog/ it is known before anybody has read their files.
 * When an answer changes, the models that it concerns are given to the reconciler. The rules stand
 * in doc/internals/control-plane.md.
 *
 *     const struct shape_entry *entry = shapes_of(control_shapes(control), model);
 *     if (entry->state == SHAPE_KNOWN)
 *         request.shape = entry->shape;
 *
 * Control's thread.
 */
#pragma once

#include "base/id_set.h"
#include "control/cluster.h"
#include "io/loop.h"
#include "weights/model_shape.h"

enum {
    SHAPES_MAX = 10000,        /* entries in memory */
    SHAPES_KEPT_MAX = 2000,    /* in the store; those that weren't used for longest go */
    SHAPES_PATHS_MAX = 256,    /* that workers are asked for */
    SHAPES_ASKED_MS = 600000,  /* so long an entry lives that no model uses, once asked for */
    SHAPES_FRESH_MS = 3600000, /* so long nobody asks the hub again */
    SHAPES_RETRY_MIN_MS = 5000,
    SHAPES_RETRY_MAX_MS = 600000,
};

enum shape_state {
    SHAPE_AWAITED,     /* is being read, or a worker was asked */
    SHAPE_KNOWN,
    SHAPE_UNREADABLE,  /* the files are there, but of no format that is known */
    SHAPE_UNREACHABLE, /* the hub can't be reached; is tried again, 5 s later, up to 10 min */
    SHAPE_MISSING,     /* not on the hub, or on no worker that was asked */
    SHAPE_UNASKED,     /* no worker that can tell is in contact */
    SHAPE_STATE_COUNT
};

struct shape_entry {
    const char *key;         /* "hf:REPO[/FILE]", "ms:REPO[/FILE]", "path:/abs" */
    enum shape_state state;
    const struct model_shape *shape;     /* NULL unless SHAPE_KNOWN */
    const struct model_shape *projector; /* of the file beside a GGUF model; NULL: none */
    const char *message;     /* why it isn't known; NULL when there is nothing to tell */
    struct int_list present_on; /* of a path: workers that are known to have it, ascending */
    struct int_list absent_on;  /* and those that are known not to, or may not read it */
    bool is_local;
    bool is_stated;          /* the shape is the catalog's: nobody has read the files yet */
};

/* "known". */
const char *shape_state_name(enum shape_state state);

struct catalog;
struct shapes;
struct hub_read;

struct shapes_params {
    struct loop *loop;
    const struct catalog *catalog; /* NULL: none */
    struct cluster *cluster; /* its models and workers; what was read is put there */
    void (*read_hub)(const char *key, void *ctx); /* begins; shapes_take_hub() brings the result */
    void (*wake)(void *ctx); /* shapes_settle() has something to do */
    void *ctx;
};

/* All borrowed for its life. Returns owned. */
struct shapes *shapes_new(const struct shapes_params *params);

/* NULL is fine. */
void shapes_free(struct shapes *shapes);

/*
 * What is known of the model's files; the model need not be the cluster's. Starts what has to be
 * started, never blocks, changes no record. Never NULL; borrowed until the end of this turn.
 */
const struct shape_entry *shapes_of(struct shapes *shapes, const struct model *model);

/* The same, of what was asked for before: starts nothing; NULL when nobody has asked. */
const struct shape_entry *shapes_peek(const struct shapes *shapes, const struct model *model);

/*
 * Calls done(ctx) once: as soon as none of the models' files is awaited any more, after
 * `timeout_ms` at the latest, or when the catalogue ends. Never from inside this call. The models
 * are borrowed until then.
 */
void shapes_await(struct shapes *shapes, const struct model *models, size_t count,
                  int64_t timeout_ms, void (*done)(void *ctx), void *ctx);

/* Whether one of the models' files is awaited. */
bool shapes_are_awaited(struct shapes *shapes, const struct model *models, size_t count);

/* All entries in the order of their keys; the array is owned, what it points to borrowed. */
const struct shape_entry **shapes_list(struct shapes *shapes, size_t *ret_count);

/* What the workers have said of a path's entry; see control/shape_answers.h. Borrowed likewise. */
struct shape_answers;
const struct shape_answers *shapes_answers_of(const struct shape_entry *entry);

/* ---- only src/control/ and its tests ---- */

/* A record was put or deleted; notes that entries may have to be looked at. */
void shapes_note_change(struct shapes *shapes, enum kind kind);

/*
 * Looks at what was noted and adds the models whose answers have changed to `models`. Before the
 * reconciler runs. Whether there were any.
 */
bool shapes_settle(struct shapes *shapes, struct id_set *models);

/* Ends the waits that have nothing to wait for any more; those of shapes_await(). After the
 * reconciler ran. */
void shapes_end_waits(struct shapes *shapes);

/* Whether it would find something. */
bool shapes_have_news(const struct shapes *shapes);

/* Whether what workers are asked has changed since the last call. After the reconciler ran. */
bool shapes_take_questions_news(struct shapes *shapes);

/* Appends the array of what a worker is asked: [{"path":"/m.gguf","shape":true}]. */
void shapes_write_questions(struct shapes *shapes, int64_t worker_id, struct buf *out);

/* Takes what a worker has found, the array "inspections" of its report; NULL: says nothing. What
 * wasn't asked for or can't be read is passed over. */
void shapes_take_report(struct shapes *shapes, int64_t worker_id, const json_t *inspections);

/* Takes what was read of a hub, and what the read owns. */
void shapes_take_hub(struct shapes *shapes, struct hub_read *read);
