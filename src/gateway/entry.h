/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the feed's lines are about: users, keys, sessions, models, endpoints, routes as the gateway
 * knows them. An entry is made from one "put" line, never changes, and is shared by reference count
 * between the feed's tables, the snapshots and the requests that use it, on all threads.
 *
 *     struct entry *entry;
 *     if (entry_read(object, &entry, &err) == 0)  ...  entry_unref(entry);
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "domain/limits.h"
#include "gateway/breaker.h"
#include "gateway/limit.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum entry_kind {
    ENTRY_USER,
    ENTRY_KEY,
    ENTRY_SESSION,
    ENTRY_MODEL,
    ENTRY_ENDPOINT,
    ENTRY_ROUTE,
    ENTRY_KINDS
};

enum {
    ENTRY_TEXT_MAX = 1024,         /* bytes of any string in an entry */
    ENTRY_LIST_MAX = 4096,         /* strings in a list of an entry */
    ENTRY_TARGETS_MAX = 64,        /* of a route */
    ENTRY_WEIGHT_MAX = 100,        /* of a target */
    ENTRY_TIMEOUT_MAX = 604800000, /* ms: a week */
};

struct entry_list {
    char **items; /* owned, each owned */
    size_t count;
};

struct user_entry {
    char *username;
    bool is_admin;
    bool is_active;
    bool require_password_change;
    struct limits limits;      /* of all that the user's keys and sessions ask for */
    struct limit_state *limit; /* a reference; as in the two others set by tables.c, may be NULL */
};

struct key_entry {
    int64_t user_id;
    char *access_key;                      /* and secret_digest: see auth_key_lookup() */
    char *secret_digest;
    char *previous_digest;                 /* of its value before it was rotated; NULL: none */
    int64_t previous_expires_at_ms;        /* wall time until which that is taken */
    int64_t expires_at_ms;                 /* wall time; 0 = never */
    bool may_infer;                        /* the scope has "*" or "inference", or is empty */
    struct entry_list allowed_model_names; /* empty means all */
    struct limits limits;                  /* beside the user's own */
    struct limit_state *limit;
    atomic_int_fast64_t used_ms;           /* wall time of the last use, to a second; 0: none */
};

struct session_entry {
    int64_t user_id;
    char *token_digest;    /* SHA-256 of the cookie's value, hex */
    int64_t expires_at_ms; /* wall time */
};

struct model_entry {
    char *name;
    int64_t created_ms;            /* wall time */
    bool is_stopped;               /* no instance is wanted: nothing to wait for */
    bool generic_proxy;            /* any path may be asked of its engines */
    int64_t first_byte_timeout_ms; /* request out -> first byte of the response; 0: none */
    struct limits limits;          /* of all requests to it */
    struct limit_state *limit;
};

/*
 * What the gateway learns of an endpoint, and its requests in progress. Outlives the entry: a
 * changed endpoint keeps it.
 */
struct endpoint_load {
    atomic_uint refs;
    atomic_uint outstanding;     /* requests in progress */
    _Atomic uint64_t last_lease; /* its number among the model's: balance.c; 0: none yet */
    atomic_bool lacks_messages;  /* it said that it has no /v1/messages; relaxed */
    atomic_bool lacks_count_tokens; /* the same of /v1/messages/count_tokens */
    struct breaker breaker;
    _Atomic int64_t told_ms; /* loop time of the last trouble that was logged; lease_warn() */
    atomic_uint untold;      /* further ones since */
};

struct endpoint_entry {
    int64_t model_id;
    char *name;          /* of the instance */
    char *host;          /* worker's address */
    unsigned port;       /* of the worker's relay */
    unsigned local_port; /* of the engine itself, on the worker's loopback */
    char *netns_id;      /* where local_port can be reached; "": not known */
    char *bearer;        /* "Bearer " and the instance's token; secret */
    char *served_name;   /* what its engine calls the model; "": the model's name */
    /* A reference; set once, before the first snapshot with the entry. */
    struct endpoint_load *load;
};

struct route_target {
    int64_t model_id; /* may be of a model that is gone: the feed tells of each by itself */
    unsigned weight;  /* 0-ENTRY_WEIGHT_MAX; 0: gets nothing */
};

/* A name that clients may write; goes before a model of the same name. */
struct route_entry {
    char *name;
    struct route_target *targets; /* owned */
    size_t target_count;
    int64_t fallback_model_id; /* 0: none */
};

struct entry {
    atomic_uint refs;
    enum entry_kind kind;
    int64_t id;
    union {
        struct user_entry user;
        struct key_entry key;
        struct session_entry session;
        struct model_entry model;
        struct endpoint_entry endpoint;
        struct route_entry route;
    };
};

/* -EINVAL when there is no kind of that name ("user", "key", ..., "route"). */
int entry_kind_parse(const char *name, enum entry_kind *ret) must_check;
const char *entry_kind_name(enum entry_kind kind);

/*
 * Reads a "put" line. ERR_INVALID names the member that is missing or wrong. `*ret` has one
 * reference.
 */
int entry_read(enum entry_kind kind, const json_t *object, struct entry **ret,
               struct err *err) must_check;

struct entry *entry_ref(struct entry *entry);

/* The last one frees. NULL is fine. */
void entry_unref(struct entry *entry);

/* Limits and their counts of a user, a key or a model; false for the others. */
bool entry_limits(const struct entry *entry, struct limit_subject *ret);

/* Sets the counts: before the entry is shared, once. Takes the reference. */
void entry_set_limit(struct entry *entry, struct limit_state *state);

/*
 * What a snapshot finds it by: a user's id, access key, token digest, model's name, endpoint's
 * model's id, route's name.
 */
struct str entry_lookup_key(const struct entry *entry);

/* Whether an allowed-models list lets `name` pass; an empty one lets all. */
bool entry_list_allows(const struct entry_list *list, const char *name);

struct endpoint_load *endpoint_load_new(void);
struct endpoint_load *endpoint_load_ref(struct endpoint_load *load);
void endpoint_load_unref(struct endpoint_load *load);
