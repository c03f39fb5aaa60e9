/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking requests for parts of files over HTTP, with an event loop of their own inside: for
 * commands and threads that may wait, never on a loop's thread. One thread; one request at a time.
 *
 * Redirects are followed, from https to https only; the Range goes along, the bearer token doesn't
 * leave the first scheme, host and port. Certificates are checked as http/client does. Neither
 * tokens nor queries of URLs stand in the texts of errors.
 *
 * A connection that breaks and a status of 500 or above are tried once more, at once.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum {
    FETCH_REDIRECTS_MAX = 5,
    FETCH_SILENCE_MS = 15000, /* to the head of the response, and between two pieces */
    FETCH_TOTAL_MS = 120000,  /* for all of one request */
    FETCH_STOP_MS = 200,      /* between two looks whether a stream is to end */
};

/* No file that is larger is asked for. */
#define FETCH_FILE_MAX (UINT64_C(1) << 56)

struct fetcher;

/* `ca_file`: authorities (PEM) to trust beside the system's, or NULL. */
int fetcher_new(const char *ca_file, struct fetcher **ret, struct err *err) must_check;

/* All requests together must be done in so much time from now on; ERR_TIMEOUT then. */
void fetcher_limit(struct fetcher *fetcher, int64_t timeout_ms);

/*
 * From now on nothing is asked for but what is on the server of `url`, or at an address of https
 * that it leads to; ERR_FORBIDDEN for everything else. Once at most.
 */
int fetcher_confine(struct fetcher *fetcher, const char *url, struct err *err) must_check;

/* NULL is fine. */
void fetcher_free(struct fetcher *fetcher);

struct fetch_request {
    const char *url;
    const char *origin; /* the URL that `bearer` is for; NULL: `url` */
    const char *bearer; /* token, or NULL */
};

struct fetch_reply {
    uint64_t total; /* bytes of the whole file */
    char *url;      /* where redirects led; owned */
    char *next;     /* of the header Link, rel="next"; owned, or NULL */
};

void fetch_reply_fini(struct fetch_reply *reply);

/*
 * Appends up to `n` bytes from `offset` on; fewer only at the file's end. A server that knows no
 * ranges sends all from the beginning: then reading stops after what was asked for, more than that
 * may be appended, and the next call for a later part of the same URL reads on there.
 *
 * -errno and codes of http/client; ERR_NOT_FOUND, ERR_UNAUTHORIZED, ERR_FORBIDDEN, ERR_TOO_OFTEN
 * and ERR_UNAVAILABLE by status; ERR_PROTOCOL for an answer to something else.
 */
int fetch_range(struct fetcher *fetcher, const struct fetch_request *request, uint64_t offset,
                size_t n, struct buf *out, struct fetch_reply *ret, struct err *err) must_check;

/* Takes what comes, in order; negative: no more is wanted, and fetch_stream() returns that. */
typedef int (*fetch_sink)(struct str piece, void *ctx);

struct fetch_stream_params {
    uint64_t offset, total; /* of the file; offset < total */
    fetch_sink sink;
    void *ctx;
    const atomic_bool *stop; /* set by another thread: it ends with -ECANCELED; NULL: nobody does */
};

/*
 * All of a file from `offset` on, piece by piece, for as long as it takes: only silence has a
 * limit. Nothing is tried again: what was taken can't be given back.
 * Codes as of fetch_range(), and of the sink; ERR_CONFLICT when the file is another size than
 * `total`.
 */
int fetch_stream(struct fetcher *fetcher, const struct fetch_request *request,
                 const struct fetch_stream_params *params, struct err *err) must_check;

/* Appends a whole small file; ERR_TOO_LARGE above `max` bytes. */
int fetch_all(struct fetcher *fetcher, const struct fetch_request *request, size_t max,
              struct buf *out, struct fetch_reply *ret, struct err *err) must_check;
