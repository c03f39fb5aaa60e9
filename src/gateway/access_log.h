/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: one JSON line for each request at its end, the members of its usage record
 * (record.h) and "method", "path" (without the query, which may hold secrets) and "peer". Never
 * credentials, never bodies.
 *
 * Shards put lines into rings of their own and never wait; a thread writes them, a little later and
 * many at once. What it can't write in time, or at all, is dropped and counted.
 *
 *     access_log_open(path, shard_count, &log, &err);
 *     access_log_note(log, shard_index, &record, &request);      // each shard with its own index
 *     access_log_reopen(log);                                    // the file was moved away
 *     access_log_free(log);
 */
#pragma once

#include "gateway/record.h"

enum {
    ACCESS_LOG_PATH_MAX = 2048, /* bytes of a request's path that are written */
    ACCESS_LOG_LINGER_MS = 5,   /* lines are gathered for so long */
    ACCESS_LOG_STOP_MS = 1000,  /* how long the end waits for a reader that is slow */
};

struct access_log;

struct access_request {
    const char *method; /* static: http_method_name() */
    struct str target;  /* as the client sent it */
    const char *peer;   /* its address */
};

/*
 * `path` is a file that is appended to or made, "-" is standard output. For `shard_count` shards.
 * -errno with the path. Returns owned.
 */
int access_log_open(const char *path, unsigned shard_count, struct access_log **ret,
                    struct err *err) must_check;

/* Writes what is there and frees; no shard may use it any more. NULL is fine. */
void access_log_free(struct access_log *log);

/* The shard's own thread. A NULL log is fine: there is none. */
void access_log_note(struct access_log *log, unsigned shard, const struct usage_record *record,
                     const struct access_request *request);

/* Goes on in a fresh file of the same name, soon. Any thread. A NULL log is fine. */
void access_log_reopen(struct access_log *log);

/* Lines that were dropped since the start. Any thread. A NULL log is fine. */
uint64_t access_log_dropped(const struct access_log *log);
