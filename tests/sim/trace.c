/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include <stdio.h>

/* FNV-1a: a run's lines, times included, as one number. */
static void add_to_hash(struct trace *trace, const char *line)
{
    if (!trace->hash)
        trace->hash = 0xcbf29ce484222325ULL;
    for (; *line; line++)
        trace->hash = (trace->hash ^ (unsigned char)*line) * 0x100000001b3ULL;
}

void trace_note(struct trace *trace, const char *fmt, ...)
{
    char *line = trace->lines[trace->count++ % TRACE_LINES];
    int n = snprintf(line, TRACE_LINE_MAX, "%9.3f  ", (double)*trace->now_ms / 1000);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, TRACE_LINE_MAX - (size_t)n, fmt, args);
    va_end(args);
    add_to_hash(trace, line);
    if (trace->is_verbose)
        puts(line);
}

void trace_fail(struct trace *trace, const char *invariant, const char *fmt, ...)
{
    if (trace->invariant)
        return;
    trace->invariant = invariant;
    trace->fault_step = trace->count;
    va_list args;
    va_start(args, fmt);
    vsnprintf(trace->fault, sizeof trace->fault, fmt, args);
    va_end(args);
}

void trace_print(const struct trace *trace, uint64_t seed)
{
    uint64_t first = trace->count > TRACE_LINES ? trace->count - TRACE_LINES : 0;
    for (uint64_t i = first; i < trace->count && !trace->is_verbose; i++)
        puts(trace->lines[i % TRACE_LINES]);
    printf("seed %llu failed at step %llu, %.3f s: %s: %s\n", (unsigned long long)seed,
           (unsigned long long)trace->fault_step, (double)*trace->now_ms / 1000, trace->invariant,
           trace->fault);
}
