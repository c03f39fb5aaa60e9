/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/control/ and its tests: taking a worker's report of what it observes. Deterministic. */
#pragma once

#include "control/cluster.h"

enum {
    REPORT_DEVICES_MAX = 1024,
    REPORT_CACHE_MAX = 8192, /* bytes of what a status says of its cache folder */
    REPORT_STORAGE_ID_MAX = 64,
    REPORT_ROOM_BYTES = 64 << 20, /* less doesn't make room for anything */
};

struct report_env {
    int64_t now_ms;      /* server's wall clock */
    int64_t now_mono_ms; /* and its monotonic one */
    bool is_current; /* the worker has taken up the latest desired state: what it doesn't list is
                        not there */
};

/*
 * The order of a worker's reports: requests may be delayed or doubled on their way, and what is old
 * must not be taken for news. `session` is given out at registration and grows, `seq` is the
 * worker's count of its reports since. The zero value is before the first.
 */
struct report_order {
    int64_t session, seq;
};

enum report_age {
    REPORT_NEW,       /* and noted */
    REPORT_STALE,     /* older than one that was seen, or the same again */
    REPORT_FORSAKEN,  /* of an earlier session: whoever sends it must register again */
};

/* Where the report stands in that order; one without a session is always new. */
enum report_age report_age(struct report_order *seen, const json_t *body);

/*
 * Writes status and instances of the report into the records of worker `worker_id`. Only observed
 * fields are taken, only for instances that are placed there; others are ignored (the worker will
 * learn that they aren't wanted). 1: there is more room than before, what waits for some is to be
 * looked at; else 0. ERR_INVALID for a bad body: then nothing of it is taken.
 */
int report_apply(struct cluster *cluster, int64_t worker_id, const json_t *body,
                 const struct report_env *env, struct err *err) must_check;

/*
 * Whether something that found no room may find some now: a device's free memory has grown
 * noticeably, one is there or healthy that wasn't, there are other engines.
 */
bool report_tells_room(const struct worker *before, const struct worker *after);
