/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened: an entry per request, from the end of its head on, and sums. Times are
 * CLOCK_MONOTONIC, which a test on the same machine can compare its own with.
 */
#pragma once

#include "base/buf.h"
#include "lib/engine/request.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOG_ENTRIES_MAX = 100000, LOG_BODY_MAX = 64 << 10 };

enum log_end {
    END_OPEN,     /* under way */
    END_DONE,     /* the whole response was written */
    END_CUT,      /* the script ended it */
    END_CLIENT,   /* the client closed or reset the connection before */
    END_BAD,      /* the request wasn't HTTP */
};

struct log_entry {
    unsigned refs;
    bool is_counted;        /* else it is in no log and no sum */
    uint64_t number;        /* of the request, from 1 */
    uint64_t connection;    /* its number, from 1 */
    unsigned on_connection; /* which request of the connection, from 1 */
    char *method, *path, *headers, *script, *body; /* owned; headers: a JSON object */
    char digest[65];        /* SHA-256 of the body in hex; "": not known */
    uint64_t body_bytes;
    unsigned concurrent;    /* requests under way when it began, itself included */
    int64_t started_ns, whole_ns, head_ns, ended_ns; /* head read, body read, response's head put,
                                                        end; 0: not yet */
    int64_t status;
    int64_t events;         /* with content that were put */
    int64_t prompt_tokens, completion_tokens;
    enum log_end end;
};

struct log {
    bool is_on;
    struct log_entry **entries; /* owned, a reference each */
    size_t count, cap;
    uint64_t requests, done, cut, client_closed, connections;
    int64_t prompt_tokens, completion_tokens; /* of requests that are over */
    unsigned in_progress;
};

/* A fresh entry for the request whose head is complete. Give it to log_end(). */
struct log_entry *log_begin(struct log *log, const struct request *request, bool is_counted);

/* Takes over the body of the request, which is complete. */
void log_whole(struct log *log, struct log_entry *entry, struct request *request);

/* The request is over: adds it up and gives the reference back. */
void log_end(struct log *log, struct log_entry *entry, enum log_end end, int64_t now_ns);

/* Forgets all entries and sums; what is under way stays under way. */
void log_reset(struct log *log);

/* {"requests":[...]} and {"requests":N,...}. */
void log_write(const struct log *log, struct buf *out);
void log_write_totals(const struct log *log, struct buf *out);
