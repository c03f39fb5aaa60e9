/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only shapes.c and shapes_local.c: the inside of the catalogue. shapes.c has the entries, what is
 * kept of them and the hubs; shapes_local.c what concerns paths on workers.
 */
#pragma once

#include "control/shape_answers.h"
#include "base/list.h"
#include "control/shapes.h"

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    struct shape_entry shown; /* what callers see; its lists and `key` are owned */
    char *key;                /* owned */
    char *message;            /* owned */
    bool has_shape;
    struct model_shape shape, projector;
    char *identity;           /* owned; of what was read, NULL without a shape */
    int64_t reader_id;        /* the worker that has read it; 0: control, from a hub */
    bool is_used;             /* a model of the cluster has these files */
    bool is_news;             /* its models must be looked at */
    int64_t asked_ms;         /* loop time at which it was last asked for */
    /* Of hubs. */
    bool is_reading;
    int64_t read_due_ms;      /* loop time of the next read */
    int64_t delay_ms;         /* after the last failure; 0: none */
    /* Of paths. */
    struct shape_answers answers;
    bool is_question;         /* workers are asked for it */
    int64_t asked_reader_id;  /* the worker that is asked for the shape; 0: none */
};

struct shapes {
    struct shapes_params params;
    struct entry *entries;    /* uthash by key */
    struct entry nothing;     /* of a model without files, or when there are too many */
    struct timer tick;
    struct int_list askable;  /* workers in contact that can tell, ascending */
    struct entry *questions[SHAPES_PATHS_MAX];
    size_t question_count;
    bool are_questions_due;   /* the list must be made anew */
    bool is_questions_news;   /* workers must be told of it */
    bool are_models_due, are_workers_due; /* were changed since the last turn */
    bool has_news;            /* an entry has */
    struct list_node waits;   /* struct shape_wait, oldest first */
    bool are_waits_due;       /* there was news since they were looked at */
};

/* Ends all waits, as control ends. */
void waits_end(struct shapes *shapes);

/* What the entry says from now on; takes `message`. Tells the models when it says another thing. */
void entry_set(struct shapes *shapes, struct entry *entry, enum shape_state state, char *message);

/* Keeps what was read; empties both shapes. */
void entry_keep(struct shapes *shapes, struct entry *entry, struct model_shape *shape,
                struct model_shape *projector);

/* Its models must be looked at. */
void entry_note_news(struct shapes *shapes, struct entry *entry);

/* Whether somebody is interested in it now. */
bool entry_is_wanted(const struct shapes *shapes, const struct entry *entry);

/* What a path's entry says by the workers' answers, and who is to read it. */
void local_judge(struct shapes *shapes, struct entry *entry);

/* Whether workers have come, gone or changed: all paths are judged anew. */
void local_look_at_workers(struct shapes *shapes);

/* Chooses the paths that workers are asked for. */
void local_choose_questions(struct shapes *shapes);
