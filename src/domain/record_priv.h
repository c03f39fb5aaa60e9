/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of domain/ share: access to a field's memory, and the text of faults. */
#pragma once

#include "domain/record.h"

/* The field's memory. `kind` says which type it has. */
static inline void *field_at(const struct field *field, void *record)
{
    return (char *)record + field->offset;
}

static inline const void *field_in(const struct field *field, const void *record)
{
    return (const char *)record + field->offset;
}

/* Frees what the field owns and zeroes it. */
void field_clear(const struct field *field, void *record);

/* Sets the field to its default. */
void field_reset(const struct field *field, void *record);

/*
 * Collects what is wrong with an object, to tell all of it at once. The zero value is empty.
 *
 *     faults_add(&faults, "name", "must not be empty");
 *     return faults_finish(&faults, err);
 */
struct faults {
    struct buf text;
    unsigned count;
};

void faults_add(struct faults *faults, const char *field, const char *fmt, ...) printf_like(3, 4);

/* 0 without faults, else ERR_INVALID with "N errors: ..." in `err`. Empties `faults`. */
int faults_finish(struct faults *faults, struct err *err) must_check;

/* Wall-clock ms of an ISO 8601 text with a zone ("Z", "+02:00"); -EINVAL. */
int timestamp_parse(struct str text, int64_t *ret) must_check;
