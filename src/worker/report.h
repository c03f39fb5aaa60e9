/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status reports to the server: every 5 s, and at once when something changed (one a turn). One at
 * a time: what changes while one is under way goes out with the next. Embedded in the session; one
 * loop's thread.
 */
#pragma once

#include "worker/downloads.h"
#include "worker/engines_seen.h"
#include "worker/fault_log.h"
#include "worker/inspections.h"
#include "worker/join.h"
#include "worker/post.h"
#include "worker/prober.h"
#include "worker/runner_set.h"
#include "worker/status.h"

enum {
    REPORT_INTERVAL_MS = 5000,
    REPORT_RETRY_MS = 1000,        /* after a failed one that had news */
    REPORT_DEVICES_WAIT_MS = 5000, /* the first one waits so long for prober and engines */
};

struct report {
    struct loop *loop;
    const struct runner_set *runners;
    const struct prober *prober;
    const struct engines_seen *engines;
    const struct inspections *inspections;
    const struct downloads *downloads;
    /* The server doesn't know us (404) or our token (401). The report is stopped already. */
    void (*on_unknown)(struct report *report, void *ctx);
    void *ctx;
    struct http_target server;
    int64_t session, seq; /* of the reports, see doc/internals/control-plane.md */
    char *token; /* owned, secret; NULL: stopped */
    struct post post;
    struct timer timer;
    bool is_due;            /* changed while one was under way */
    int64_t devices_due_ms; /* loop time until which those two are waited for */
    struct machine_status machine;
    struct fault_log faults;
};

/* The memory must be zeroed; the pointers up to `ctx` are the owner's to set. */
void report_init(struct report *report, struct loop *loop, struct http_pool *pool);
void report_fini(struct report *report);

void report_start(struct report *report, const struct http_target *server,
                  const struct joined *joined);
void report_stop(struct report *report);

/* Something changed: the next report goes out at the end of this turn. Nothing while stopped. */
void report_mark(struct report *report);
