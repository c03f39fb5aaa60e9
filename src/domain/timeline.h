/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states that an instance went through: what, since when, until when, why. Kept in the
 * instance's row, so it survives restarts. An array of spans, oldest first; the last one is open:
 *
 *     {"state":"error","reason":"engine_exited","args":{"exit_code":1},"message":"...",
 *      "since":"2026-11-24T08:00:00.000Z","until":null}
 *
 * Pure, any thread.
 */
#pragma once

#include "domain/instance.h"
#include "domain/reason.h"

enum { TIMELINE_SPANS_MAX = 40 };

/* Why a state is entered. */
struct cause {
    enum reason reason;
    const char *args;    /* JSON object or NULL */
    const char *message; /* for people; NULL: all is well */
};

/*
 * Sets state, reason, args and message of the record (which the caller then puts into the cluster).
 * Another state or reason begins a new span; the same ones with other words only change the words.
 * Of more than TIMELINE_SPANS_MAX spans the oldest goes, but not the first that tells of an error:
 * a crash loop must not bury what went wrong first.
 */
void instance_set_state(struct model_instance *instance, enum instance_state state,
                        const struct cause *cause, int64_t now_ms);

/*
 * Writes the array for people: each span with `duration_ms`, the open one's up to now. Empty for an
 * instance that no state was set of.
 */
void timeline_write(const struct model_instance *instance, int64_t now_ms, struct json_writer *w);
