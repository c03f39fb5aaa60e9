/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KEY=VALUE arguments as changes of a model that was read from the server. A value is JSON where
 * the model's field is none of text ("replicas=2", "env={\"A\":\"1\"}", "backend=null"), else it
 * is taken as it stands ("description=my model").
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

/* Adds the changes to `ret`, an object. A usage fault names an argument or field that isn't one. */
int edits_read(const char *const *pairs, unsigned count, const json_t *object, json_t *ret,
               struct err *err) must_check;

/* Whether the server took all of them: ERR_CONFLICT names a field that can't be changed. */
int edits_check(const json_t *changes, const json_t *answer, struct err *err) must_check;
