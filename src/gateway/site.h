/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The web UI: files that tools/pack-site put into the program, and which of them answers a request.
 *
 * What lies under /assets/ has its content's digest in its name: browsers keep it for ever, and a
 * name that isn't there is nobody's. Everything else is asked for again each time, with an ETag.
 * The UI's own pages (/models, /instances/7, ...) are no files: a browser that goes to a path of
 * which no API knows gets index.html, which reads the path itself.
 *
 * Sent from the program's memory, compressed for whoever takes gzip. Read-only, any thread.
 */
#pragma once

#include "http/server.h"

struct site_file {
    const char *path; /* as in URLs: "/assets/app-1a2b.js" */
    const char *type; /* Content-Type */
    const char *etag; /* W/"digest of the content": the same for both forms of it */
    struct str plain;
    struct str gzip; /* empty where compression gains nothing */
};

struct site {
    const struct site_file *files; /* sorted by path; with "/index.html", unless there are none */
    size_t count;
};

struct site_answer {
    const struct site_file *file; /* NULL: the site has nothing for this request */
    bool is_gzip;                 /* that form of it */
    bool is_known;                /* the client has it: 304 */
};

/* The file at `path`, or NULL; "/" is index.html. */
const struct site_file *site_find(const struct site *site, struct str path);

/* What the site answers. `head` is of a request whose path is no API's. Pure. */
struct site_answer site_answer(const struct site *site, const struct http_request_head *head);

/* Replies with it; false when there is nothing, and no reply was begun. */
bool site_reply(const struct site *site, struct http_exchange *ex);
