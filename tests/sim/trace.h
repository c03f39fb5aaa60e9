/* SPDX-License-Identifier: Apache-2.0 */
/* What happened in a run: the last events as text, and the first invariant that didn't hold. */
#pragma once

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum { TRACE_LINES = 60, TRACE_LINE_MAX = 160 };

struct trace {
    const int64_t *now_ms; /* borrowed: the virtual clock */
    bool is_verbose;       /* every line is printed at once */
    uint64_t count;        /* lines ever written: the step */
    uint64_t hash;         /* of all of them: the same for the same run */
    char lines[TRACE_LINES][TRACE_LINE_MAX];
    const char *invariant; /* NULL: all hold */
    char fault[512];
    uint64_t fault_step;
};

/* Adds a line. */
void trace_note(struct trace *trace, const char *fmt, ...) printf_like(2, 3);

/* An invariant doesn't hold: the first one is kept. `invariant` is a literal. */
void trace_fail(struct trace *trace, const char *invariant, const char *fmt, ...) printf_like(3, 4);

/* Prints fault and last lines to stdout. */
void trace_print(const struct trace *trace, uint64_t seed);
