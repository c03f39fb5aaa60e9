/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shapes of the JSON objects in FIELD_JSON fields: which members they may have and what these are.
 * Members that a table doesn't name are let through, as in records. Pure, any thread.
 */
#pragma once

#include "domain/record_priv.h"

enum shape_kind { SHAPE_BOOL, SHAPE_INT, SHAPE_NUMBER, SHAPE_TEXT, SHAPE_WORD, SHAPE_LIST };

struct shape_member {
    const char *name; /* NULL ends a table */
    enum shape_kind kind;
    bool is_required;
    int64_t min, max;                  /* INT and NUMBER: range; TEXT: bytes at most */
    const char *const *words;          /* WORD: what is allowed, ended by NULL */
    const struct shape_member *inside; /* LIST: of objects like these, `max` of them at most */
};

/* Adds a fault per member of `text` (JSON or NULL) that isn't as the table says, under `field`. */
void shape_check_object(const char *field, const char *text, const struct shape_member *members,
                        struct faults *faults);

/* The same for a list of at most `max` such objects. */
void shape_check_list(const char *field, const char *text, const struct shape_member *members,
                      size_t max, struct faults *faults);
