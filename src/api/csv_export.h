/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer of CSV that has no end known before: rows are read from the store page by page and sent
 * as the client takes them, so that one page is in memory at once. Control's thread.
 *
 * Errors of the first page are told as of any request; later ones can only cut the answer, and so
 * does the loss of the caller's rights.
 *
 *     struct own { struct csv_export export; ... };                // first
 *     csv_export_start(&own->export, rq, &ops);                    // ops.read(): asks the store
 *     // and where the page comes:
 *     if (csv_export_take(&own->export, rc, text)) {
 *         write the head if !own->export.has_begun, and the rows, into `out`
 *         csv_export_send(&own->export, buf_str(&out), has_more);
 *     }
 */
#pragma once

#include "api/request.h"

struct csv_export;

struct csv_export_ops {
    /* Asks for the next page; csv_export_take() says that it has come, later. */
    void (*read)(struct csv_export *export);
    /* It is over: frees all. */
    void (*free)(struct csv_export *export);
};

struct csv_export {
    const struct csv_export_ops *ops;
    struct request *rq;       /* held: its caller */
    struct http_exchange *ex; /* NULL before the first page, and once it has closed */
    bool is_reading, has_begun;
    bool is_admin; /* the caller was one when the question was made */
};

/* Takes the request; returns REQUEST_PENDING. */
int csv_export_start(struct csv_export *export, struct request *rq,
                     const struct csv_export_ops *ops);

/* A page has come, or an error with its sentence. Whether it is to be sent; else the export may be
 * gone. */
bool csv_export_take(struct csv_export *export, int rc, const char *text) must_check;

/* Sends a page, and ends the answer or goes on once the client has taken it. */
void csv_export_send(struct csv_export *export, struct str page, bool has_more);
