/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with an instance, as its report tells it: a code with arguments for programs and
 * words for people. Plain data; a zeroed one means that all is well. One thread.
 *
 *     trouble_set(fault, REASON_MODEL_PATH_MISSING, "worker %s: no file %s", worker, path);
 *     trouble_add_text(fault, "path", path);
 */
#pragma once

#include "domain/reason.h"

#include <stdint.h>

struct trouble {
    enum reason reason;
    char *args; /* owned; JSON object, or NULL when there are none */
    char *text; /* owned; what happened, without what comes next; NULL when all is well */
    char *log;  /* owned; the line of the engine's log that says more, or NULL */
};

void trouble_fini(struct trouble *fault);

/* Replaces what was there; without arguments yet. */
void trouble_set(struct trouble *fault, enum reason reason, const char *fmt, ...) printf_like(3, 4);

/* Adds an argument; a NULL text is JSON null. */
void trouble_add_text(struct trouble *fault, const char *key, const char *value);
void trouble_add_int(struct trouble *fault, const char *key, int64_t value);

/* Takes `line`, a line of the engine's log (may be NULL), as argument "log" too. */
void trouble_take_log(struct trouble *fault, char *line);

/* Moves `from` over `to`. */
void trouble_move(struct trouble *to, struct trouble *from);
