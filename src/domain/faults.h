/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects what is wrong with an object or a request, to tell all of it at once. Pure, any thread.
 *
 *     struct faults faults = {0};
 *     faults_add(&faults, "name", "must not be empty");
 *     return faults_finish(&faults, err);     // "1 error: name: must not be empty"
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* The zero value is empty. */
struct faults {
    struct buf text;
    unsigned count;
};

/* "FIELD: TEXT". */
void faults_add(struct faults *faults, const char *field, const char *fmt, ...) printf_like(3, 4);

/* 0 without faults, else ERR_INVALID with "N errors: ..." in `err`. Empties `faults`. */
int faults_finish(struct faults *faults, struct err *err) must_check;

/* A wrong value for an error text: short, one line. Returns owned. */
char *faults_shown(const json_t *value);
