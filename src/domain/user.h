/* SPDX-License-Identifier: Apache-2.0 */
/* People and their credentials: users, API keys, login sessions. Plain data, see record.h. */
#pragma once

#include "domain/limits.h"

struct user {
    int64_t id;
    char *username;       /* unique, never changes; letters, digits, . _ - @, at most 128 */
    bool is_admin;
    char *full_name;
    char *avatar_url;
    int source;           /* enum user_source */
    bool is_active;       /* false: every credential of the user is refused */
    bool require_password_change; /* only the password may be changed until it was */
    struct limits limits; /* of all that the user's keys and sessions ask for; set by admins */
    char *password;       /* write-only: what a client sends; wiped after hashing */
    char *password_hash;  /* argon2id string; NULL: no password login */
    int64_t version;      /* grows with every change by a client */
    int64_t created_at, updated_at; /* wall ms */
};

enum user_source { USER_LOCAL, USER_OIDC, USER_SAML, USER_SOURCE_COUNT };

extern const struct record_type user_type;

/* What the field table can't say: the name's characters. ERR_INVALID. */
int user_validate(const struct user *user, struct err *err) must_check;

enum api_key_scope { SCOPE_ALL, SCOPE_MANAGEMENT, SCOPE_INFERENCE, SCOPE_COUNT };

struct api_key {
    int64_t id;
    char *name;        /* unique per user */
    char *description;
    int64_t user_id;
    char *access_key;  /* 16 hex digits: the public half, finds the row */
    char *secret_digest; /* SHA-256 of the secret half, hex */
    char *previous_digest;       /* of its value before it was rotated; NULL: none */
    int64_t previous_expires_at; /* wall ms: taken until then; 0: it isn't */
    struct string_list scope;         /* "*", "management", "inference"; empty means "*" */
    struct string_list allowed_model_names; /* as clients write them: of models or routes; empty
                                               means all */
    struct limits limits; /* beside the user's own, so that they can only narrow */
    int64_t expires_in; /* write-only: seconds from now; 0 = never */
    int64_t expires_at; /* wall ms; 0 = never */
    bool is_custom;       /* the value was chosen by its user: access_key and secret_digest are made
                             of all of it, see auth_key_lookup() */
    bool enabled;         /* false: refused wherever it is sent */
    int64_t last_used_at; /* wall ms, within a minute or so; 0 = never */
    int64_t version;      /* grows with every change by a client */
    int64_t created_at, updated_at;
};

extern const struct record_type api_key_type;

/*
 * Whether the digest is of the key's value, or of the one before while that is taken. In a time
 * that doesn't tell how much of it is right.
 */
bool api_key_has_digest(const struct api_key *key, const char *digest, int64_t now_ms);

/* What the field table can't say: the words of `scope`. ERR_INVALID. */
int api_key_validate(const struct api_key *key, struct err *err) must_check;

/* One login in a browser or of the CLI. The token itself is never stored. */
struct session {
    int64_t id;
    char *token_digest; /* SHA-256 of the cookie's value, hex; unique */
    int64_t user_id;
    int64_t expires_at; /* wall ms */
    int64_t created_at;
};

extern const struct record_type session_type;
