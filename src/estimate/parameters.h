/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's parameters for an engine, read by a table: which of them matter for memory, and where
 * their values go. What isn't in the table is passed over: it is for the engine.
 *
 * Understood are "--name value", "--name=value", both also in one argument ("--name value"), '_'
 * in place of '-' in names, and short names. The last one of several counts, as in the engines,
 * unless it is a list.
 * Pure.
 *
 *     static const struct parameter table[] = {
 *         {"ctx-size", "-c", PARAMETER_COUNT, offsetof(struct options, context), 0, 1 << 30},
 *         {0}};
 *     struct options options = {.context = 4096};
 *     if (parameters_read(table, argv, argc, &options, err) < 0) ...
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum parameter_kind {
    PARAMETER_COUNT,   /* uint64_t within min..max */
    PARAMETER_NUMBER,  /* int64_t within min..max */
    PARAMETER_TOKENS,  /* int64_t, also "32k" (1000s), "32K" (1024s); "auto" is -1 */
    PARAMETER_REAL,    /* double within min..max */
    PARAMETER_TEXT,    /* struct str, borrowed from argv */
    PARAMETER_ON,      /* bool that the mere name sets */
    PARAMETER_OFF,     /* bool that the mere name clears */
    PARAMETER_SWITCH,  /* struct str; the name alone is "on" */
    PARAMETER_LIST,    /* struct parameter_list: each time that it is said counts */
};

enum { PARAMETER_LIST_MAX = 32 };

struct parameter_list {
    struct str items[PARAMETER_LIST_MAX]; /* borrowed from argv */
    size_t count;
};

struct parameter {
    const char *name;   /* long one without dashes, with '-'; NULL ends the table */
    const char *shorts; /* others with their dashes, separated by a space: "-c --n-ctx"; NULL */
    enum parameter_kind kind;
    size_t offset;      /* of the value in the caller's struct */
    double min, max;
};

/* Stores what is found into `values`. ERR_INVALID names the parameter, its value and the range. */
int parameters_read(const struct parameter *table, const char *const *argv, size_t argc,
                    void *values, struct err *err) must_check;
