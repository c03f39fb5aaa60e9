/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of parameters and bodies, as tables that tools/openapi makes of api/openapi.yaml. Bodies
 * that are records have none: record_read() checks them. Pure, any thread.
 */
#pragma once

#include "base/json.h"
#include "base/str.h"
#include "domain/faults.h"

#include <stdint.h>

enum check_kind {
    CHECK_ANY, /* somebody else checks it; only its name is known here */
    CHECK_BOOL,
    CHECK_INT,
    CHECK_NUMBER,
    CHECK_STRING,
    CHECK_LIST,
    CHECK_OBJECT,
};

enum check_flags {
    CHECK_REQUIRED = 1,
    CHECK_NULLABLE = 2,
    CHECK_SECRET = 4, /* no error text shows the value */
    CHECK_MANY = 8,   /* a parameter that may be given more than once */
};

/* What a parameter, a member of a body or an item of a list may be. */
struct check {
    const char *name; /* NULL in the row that ends a table */
    enum check_kind kind;
    unsigned flags;
    int64_t min, max;         /* number: its range; string: bytes; list: items */
    const char *const *words; /* the only ones allowed, ended by NULL; NULL: any */
    const struct check *parts; /* object: its members; list: one row for its items */
};

/*
 * Checks the parameters of a query; `checks` may be NULL. With `is_list` a parameter that isn't
 * known is a fault, unless it is empty: a filter that is spelled wrong must not show all rows.
 */
void check_query(const struct check *checks, struct str query, bool is_list, struct faults *faults);

/* Checks the members of a body. Members that aren't known are fine. */
void check_members(const struct check *checks, const json_t *object, struct faults *faults);

/* Whether the text is a boolean of a query: true, false, and as GPUStack takes them True, False, 1,
 * 0. */
bool check_parse_bool(const char *text, bool *ret);
