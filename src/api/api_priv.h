/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/api/ may include this. */
#pragma once

#include "api/api.h"
#include "api/handlers.h" /* generated: the handlers' prototypes */
#include "api/request.h"

enum {
    API_HASHES_MAX = 64,          /* password checks waiting at once; more get 503 */
    API_SESSION_MS = 7200 * 1000, /* life of a login */
    API_SESSIONS_PER_USER = 50,   /* the oldest go */
};

#define API_COOKIE "gpustack_session"

struct api {
    struct control *control;
    struct http_server *server, *admin_server;
    unsigned hashes_running;
};

/* The operations of api/openapi.yaml, sorted by path; ended by a row without a path. Generated. */
extern const struct api_route api_routes[];

/* The route for a method and path, with the number at {id}, or 0 when something else stands there.
 * ERR_NOT_FOUND, or -EPERM with the
 * methods that the path has in `ret_allow` (owned). */
int api_route_find(enum http_method method, const char *path, const struct api_route **ret,
                   int64_t *ret_id, char **ret_allow, struct err *err) must_check;

/*
 * Finds out who calls and whether the route is allowed: 0, REQUEST_PENDING (a password is being
 * checked, request_continue() follows), ERR_UNAUTHORIZED, ERR_FORBIDDEN.
 */
int caller_authorize(struct request *rq, struct err *err) must_check;

/* Runs the route's handler for an authorized request. */
void request_continue(struct request *rq);

/* HTTP status of an error code. */
unsigned problem_status(int code);

/* Body {"code","reason","message"} of an error. */
void problem_write(int code, const char *text, struct buf *out);

/* Whether the caller of an authorized request may still do what it asked for. */
bool caller_is_still_allowed(struct request *rq);

/*
 * Replies with a page of a kind's records: page, perPage (1-100, -1 = all), search (part of the
 * name), or with watch=true by a stream of their changes. `accept` filters by rq->filter, caller
 * and id; `write` writes one item (NULL: the record as it is).
 */
int list_reply(struct request *rq, enum kind kind, bool (*accept)(struct request *, const void *),
               void (*write)(struct request *, const void *, struct json_writer *),
               struct err *err) must_check;

/* Which records a list shows, and how. */
struct list_view {
    enum kind kind;
    bool (*accept)(struct request *, const void *);                      /* NULL: all */
    void (*write)(struct request *, const void *, struct json_writer *); /* NULL: as it is */
};

/* Whether the list shows this record; `search` as the query has it, NULL for none. */
bool list_accepts(struct request *rq, const struct list_view *view, const void *record,
                  const char *search);

/* Writes the record as the list shows it. */
void list_write_row(struct request *rq, const struct list_view *view, const void *record,
                    struct json_writer *w);

/* Answers a list request with GPUStack's watch frames; see doc/api-watch.md. */
int list_watch(struct request *rq, const struct list_view *view, struct err *err) must_check;

/* ERR_NOT_FOUND that names the kind and id. */
int no_such(const struct request *rq, enum kind kind, struct err *err);

/* Logs a session in: makes the record and the reply's cookie. */
void session_start(struct request *rq, const struct user *user);

/* Ends all logins of a user, as after a change of the password. */
void session_end_all(struct request *rq, int64_t user_id);

/*
 * Puts the changed copy of a model: with a new generation and revision when its settings differ.
 * Empties `copy`; returns the row.
 */
const struct model *models_put(struct request *rq, const struct model *model, struct model *copy);

/* Whether an API key is the caller's own. */
bool api_keys_is_own(struct request *rq, const void *record);
