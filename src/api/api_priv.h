/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/api/ may include this. */
#pragma once

#include "api/api.h"
#include "api/handlers.h" /* generated: the handlers' prototypes */
#include "api/list_query.h"
#include "api/load.h"
#include "api/login_limit.h"
#include "api/request.h"

enum {
    API_HASHES_MAX = 64,          /* password checks waiting at once; more get 503 */
    API_SESSION_MS = 7200 * 1000, /* life of a login */
    API_SESSIONS_PER_USER = 50,   /* the oldest go */
};

#define API_COOKIE "gpustack_session"

/* How long requests that changed something waited for the store. */
struct commit_figures {
    int64_t count, sum_ms, last_ms, max_ms;
};

struct api {
    struct control *control;
    struct http_server *server, *admin_server;
    struct list_node hashes; /* passwords in the pool; they may outlive us */
    unsigned hashes_running;
    struct login_limit *login_limit;
    struct api_params params; /* its sockets are gone; `backends` is: */
    char *backends;           /* owned */
    int64_t started_ms;       /* loop time */
    struct timer load_timer;
    struct load load; /* the last one that was measured */
    struct load_history load_history;
    struct commit_figures commits;
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

/* What an error's body tells. */
struct problem {
    int code;            /* of base/err.h */
    const char *text;    /* what, why, what to do */
    const char *current; /* JSON of the object as it is, or NULL */
};

/* Body {"code","reason","message"} of an error, and "current" where there is one. */
void problem_write(const struct problem *problem, struct buf *out);

/*
 * The header that a status asks for besides the body, if any: WWW-Authenticate, Retry-After (with
 * `retry_after_s`, or a few seconds when that is 0). Returns how many were written; the header
 * borrows from `number`.
 */
unsigned problem_headers(unsigned status, int64_t retry_after_s, char number[static 32],
                         struct http_header *ret);

/* Answers an exchange that isn't a request's any more. */
void problem_reply(struct http_exchange *ex, const struct problem *problem);

/*
 * ERR_CONFLICT, with the present record in the answer, when the write names another version in its
 * body ("version") or its If-Match than the record has. A write that names none passes.
 */
int version_check(struct request *rq, enum kind kind, const void *record,
                  struct err *err) must_check;

/* Gives `after` the next version if a field that clients write differs from `before`. */
void version_grow(enum kind kind, const void *before, void *after);

/* Replies with a record that has a version, which is the answer's ETag too. Returns 0. */
int reply_record(struct request *rq, enum kind kind, const void *record);

/* Whether the caller of an authorized request may still do what it asked for. */
bool caller_is_still_allowed(struct request *rq);

/* Which records a list shows, and how. */
struct list_view {
    enum kind kind;
    const struct record_type *type;      /* of rows that are no records; NULL: the kind's */
    const struct list_alias *aliases;    /* NULL: none */
    bool (*accept)(struct request *, const void *);                      /* NULL: all */
    void (*write)(struct request *, const void *, struct json_writer *); /* NULL: as it is */
};

/*
 * Replies with a page of a kind's records, filtered and sorted as list_query.h says, or with
 * watch=true by a stream of their changes.
 */
int list_reply(struct request *rq, const struct list_view *view, struct err *err) must_check;

/* The two halves of it for rows that are no records; `rows` in the order of their ids. */
int list_read_query(const struct request *rq, const struct list_view *view, struct list_query *ret,
                    struct err *err) must_check;
/* Reads the query of a list that can't be watched. */
int list_read_unwatched(const struct request *rq, const struct list_view *view,
                        struct list_query *ret, struct err *err) must_check;
void list_write(struct request *rq, const struct list_view *view, const struct list_query *query,
                void *const *rows, size_t count);

/* Whether the list shows this record. */
bool list_accepts(struct request *rq, const struct list_view *view, const struct list_query *query,
                  const void *record);

/* Writes the record as the list shows it. */
void list_write_row(struct request *rq, const struct list_view *view, const void *record,
                    struct json_writer *w);

/* Answers a list request with GPUStack's watch frames; see doc/api-watch.md. Takes what is in
 * `query`. */
int list_watch(struct request *rq, const struct list_view *view, const struct list_query *query,
               struct err *err) must_check;

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

/* Takes a sample of the load each minute, from now on until dashboard_stop(). */
void dashboard_start(struct api *api);
void dashboard_stop(struct api *api);

/* Whether an API key is the caller's own. */
bool api_keys_is_own(struct request *rq, const void *record);
