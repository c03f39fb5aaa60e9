/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of domain/ share: access to a field's memory. */
#pragma once

#include "domain/faults.h"
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

/* Wall-clock ms of an ISO 8601 text with a zone ("Z", "+02:00"); -EINVAL. */
int timestamp_parse(struct str text, int64_t *ret) must_check;
