/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What workers have said of one path, and what that means together. Pure;
 * control's thread.
 */
#pragma once

#include "control/cluster.h"
#include "control/shapes.h"

enum answer_state {
    ANSWER_PRESENT,
    ANSWER_MISSING,
    ANSWER_UNREADABLE, /* of no format that is known; without identity: nobody can tell */
    ANSWER_FORBIDDEN,  /* the worker may not read it, nor may its engines */
    ANSWER_STATE_COUNT
};

struct shape_answer {
    int64_t worker_id;
    enum answer_state state;
    char *identity; /* owned; "": it wasn't found out */
    char *message;  /* owned, or NULL */
    int64_t bytes;  /* of the files */
    char *storage;  /* owned; JSON of the file system that they are on, or NULL */
};

/* The zero value is empty. */
struct shape_answers {
    struct shape_answer *items; /* owned; ascending by worker */
    size_t count, cap;
};

/* "present". */
extern const char *const answer_state_names[ANSWER_STATE_COUNT];

/* The state of a word. ERR_INVALID. */
int answer_state_parse(const char *word, enum answer_state *ret) must_check;

/* Whether the worker has the file, readable or not. */
bool shape_answer_is_there(const struct shape_answer *answer);

/* The worker's answer or NULL. Borrows. */
const struct shape_answer *shape_answers_find(const struct shape_answers *answers,
                                              int64_t worker_id);

/* Takes a worker's answer in the place of its last one. Whether it says something else. */
bool shape_answers_take(struct shape_answers *answers, struct shape_answer *fresh);

/* Forgets those of workers that the cluster doesn't have any more. */
void shape_answers_drop_strangers(struct shape_answers *answers, const struct cluster *cluster);

/* Sets which workers have it and which don't. */
void shape_answers_list(const struct shape_answers *answers, struct int_list *present_on,
                        struct int_list *absent_on);

/* What is asked, and of whom. */
struct answers_view {
    const struct cluster *cluster;
    const struct int_list *askable; /* workers in contact that can tell, ascending */
    bool has_shape;
    int64_t reader_id;    /* has_shape: the worker that has read it */
    const char *identity; /* has_shape: of what was read */
};

/* The worker that is to read what the file is made of; 0: none. */
int64_t shape_answers_reader(const struct shape_answers *answers,
                             const struct answers_view *view);

/* The state that an entry has by it. `*ret_message` is owned, NULL: there is nothing to tell. */
enum shape_state shape_answers_judge(const struct shape_answers *answers,
                                     const struct answers_view *view, char **ret_message);

void shape_answers_fini(struct shape_answers *answers);
