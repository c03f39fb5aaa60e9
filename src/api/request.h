/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One management request on its way through decode, authorize, handle, encode.
 *
 * A handler gets the request complete: route matched, caller known and allowed, JSON body parsed.
 * It returns 0 when its reply stands in rq->json, a negative code with a sentence in `err`, or
 * REQUEST_PENDING after it has started something slow that will call request_finish(), or
 * REQUEST_TAKEN when it took over the exchange for a stream. Replies to requests that changed
 * something leave when the change is durable. Control's thread.
 */
#pragma once

#include "api/check.h"
#include "base/json.h"
#include "control/control.h"
#include "http/server.h"

enum {
    REQUEST_BODY_MAX = 1 << 20, /* bytes of a request's body; a worker's report included */
    REQUEST_PENDING = 1,
    REQUEST_TAKEN = 2,
};

struct api;
struct request;

/* Who may call a route: x-access in api/openapi.yaml. The zero value is nobody. */
enum access {
    ACCESS_NOBODY,
    ACCESS_PUBLIC,
    ACCESS_SELF, /* any known user, also one who must change the password first */
    ACCESS_USER, /* any user */
    ACCESS_ADMIN,
    ACCESS_WORKER,  /* a worker's token */
    ACCESS_CLUSTER, /* the cluster token */
    ACCESS_COUNT
};

enum body_kind { BODY_NONE, BODY_JSON, BODY_JSON_OR_FORM };

/* An operation of api/openapi.yaml. */
struct api_route {
    enum http_method method;
    const char *path; /* "{id}" stands for one number, "{text}" for anything but a slash */
    enum access access;
    int (*handle)(struct request *rq, struct err *err);
    const struct check *parameters; /* of the query; NULL: none are known */
    bool is_list;                   /* parameters that are not known are refused */
    enum body_kind body_kind;
    bool needs_body;
    const struct check *body; /* members of the body; NULL: the handler checks them */
    size_t body_max;          /* bytes; 0: REQUEST_BODY_MAX */
};

enum caller_kind { CALLER_NOBODY, CALLER_USER, CALLER_WORKER, CALLER_CLUSTER };

struct caller {
    enum caller_kind kind;
    int64_t user_id;    /* CALLER_USER */
    int64_t session_id; /* CALLER_USER by cookie; else 0 */
    int64_t key_id;     /* CALLER_USER by API key; else 0 */
    int64_t worker_id;  /* CALLER_WORKER */
};

struct request {
    struct api *api;
    struct control *control;
    struct cluster *cluster;  /* control_cluster(control) */
    struct http_exchange *ex; /* NULL once the client has gone */
    const struct api_route *route;
    struct caller caller;
    char *path;      /* decoded */
    int64_t id;      /* the number at {id}, or 0 */
    bool is_secret;  /* the reply has a secret: nobody may keep it */
    bool is_local;   /* came over the admin socket from root or our own user */
    struct buf raw;  /* body as it came */
    json_t *body;    /* parsed body, an object, checked; NULL when there was none */
    unsigned status; /* 200 unless the handler sets another */
    struct buf reply;
    struct json_writer json; /* writes into reply */
    char *login_name;        /* whose password is being tried, or NULL; owned */
    const char *content_type; /* of the reply; NULL: JSON */
    int64_t finished_ms;     /* loop time at which only the store was left to wait for */
    char *set_cookie;        /* Set-Cookie header of the reply, or NULL */
    char *current;           /* JSON of a record, for the answer to a stale write, or NULL */
    int64_t etag;            /* version of the record in the reply; 0: none */
    int64_t retry_after_s;   /* of a refusal that ends by itself; 0: not known */
    uint64_t changes_before; /* control_change_count() before the handler ran */
    unsigned holds;          /* reasons to stay though the exchange is closed */
    bool is_finished;
};

/* The user that calls; only behind ACCESS_SELF, ACCESS_USER or ACCESS_ADMIN. */
struct user *request_user(const struct request *rq);

/* Value of a query parameter, decoded; owned, NULL when absent. */
char *request_query(const struct request *rq, const char *name);

/* An integer query parameter, or `fallback` when absent. ERR_INVALID names what is allowed. */
int request_query_int(const struct request *rq, const char *name, int64_t min, int64_t max,
                      int64_t fallback, int64_t *ret, struct err *err) must_check;

/* A query parameter that is true or false (also 1, 0, True, False). */
int request_query_bool(const struct request *rq, const char *name, bool fallback, bool *ret,
                       struct err *err) must_check;

/* Ends a request: `rc` 0 or an error with its sentence. For handlers that returned REQUEST_PENDING.
 */
void request_finish(struct request *rq, int rc, const struct err *err);

/* The same for a handler that has read with the request held, and drops it; text may be NULL. The
 * client may have left in between. */
void request_finish_read(struct request *rq, int rc, const char *text);

/* The handler takes the exchange over: sets its own ops first. Ends the request. */
int request_take(struct request *rq);

/* Keeps the request after its end, for who needs its caller; drop gives it back. */
void request_hold(struct request *rq);
void request_drop(struct request *rq);

/* ---- passwords: hashed and checked in the pool ---- */

/*
 * Whether a password of `username` may be tried now: ERR_TOO_OFTEN after repeated failures from the
 * caller's address (login_limit.h). Then request_note_login() takes the outcome.
 */
int request_ask_login(struct request *rq, const char *username, struct err *err) must_check;
void request_note_login(struct request *rq, bool is_right);

/* Checks `password` against `hash` (NULL: never right), then calls then(rq, right, ctx). */
int request_verify_password(struct request *rq, const char *hash, const char *password,
                            void (*then)(struct request *rq, bool right), struct err *err);

/* Hashes `password`, then calls then(rq, hash); `hash` is borrowed for the call. */
int request_hash_password(struct request *rq, const char *password,
                          void (*then)(struct request *rq, const char *hash), struct err *err);
