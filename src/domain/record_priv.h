/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of domain/ share: access to a field's memory. */
#pragma once

#include "domain/faults.h"
#include "domain/record.h"
#include "domain/timestamp.h"

/* The field's memory. `kind` says which type it has. */
static inline void *field_at(const struct field *field, void *record)
{
    return (char *)record + field->offset;
}

static inline const void *field_in(const struct field *field, const void *record)
{
    return (const char *)record + field->offset;
}

/* The memory of a FIELD_RECORDS, whose pointer has a type of its own in each struct. */
struct record_array {
    char *items; /* owned */
    size_t count;
};

static inline struct record_array records_in(const struct field *field, const void *record)
{
    struct record_array array;
    memcpy(&array, field_in(field, record), sizeof array);
    return array;
}

static inline void records_set(const struct field *field, void *record, struct record_array array)
{
    memcpy(field_at(field, record), &array, sizeof array);
}

/* Frees what the field owns and zeroes it. */
void field_clear(const struct field *field, void *record);

/* Sets the field to its default. */
void field_reset(const struct field *field, void *record);
