/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who calls, and whether the route lets them. Deny by default: only what is listed here gets in.
 *
 * A user proves itself by API key, login cookie, or name and password (Basic, checked in the pool).
 */
#include "api/api_priv.h"

#include "auth/auth.h"
#include "control/key_uses.h"

#define PASSWORD_CHANGE_TEXT                                                                       \
    "the password must be changed first: POST /auth/update-password, or gpustack login"

static int refuse(struct err *err)
{
    return err_set(err, ERR_UNAUTHORIZED,
                   "sign in: send an API key as \"Authorization: Bearer gpustack_...\", a name and "
                   "password (Basic), or the login cookie");
}

/* ---- finding the caller ---- */

static int use_user(struct request *rq, const struct user *user, struct err *err)
{
    if (!user || !user->is_active)
        return refuse(err);
    rq->caller.kind = CALLER_USER;
    rq->caller.user_id = user->id;
    return 0;
}

static bool key_may_manage(const struct api_key *key)
{
    return key->scope.count == 0 || string_list_has(&key->scope, "*") ||
           string_list_has(&key->scope, "management");
}

/* Whether the key is good by itself, whoever it belongs to. */
static int check_key(const struct request *rq, const struct api_key *key, struct err *err)
{
    if (!key->enabled)
        return err_set(err, ERR_UNAUTHORIZED, "the API key %s is turned off", key->name);
    if (key->expires_at && key->expires_at <= control_now_ms(rq->control))
        return err_set(err, ERR_UNAUTHORIZED, "the API key %s has expired; make another one",
                       key->name);
    if (!key_may_manage(key))
        return err_set(err, ERR_FORBIDDEN,
                       "the API key %s is for inference only: its scope has no \"management\"",
                       key->name);
    return 0;
}

static int use_key(struct request *rq, const char *token, struct err *err)
{
    struct auth_lookup lookup;
    auth_key_lookup(str_of(token), &lookup);
    const struct api_key *key = cluster_key_by_access(rq->cluster, lookup.access);
    if (!key || !api_key_has_digest(key, lookup.digest, control_now_ms(rq->control)))
        return refuse(err);
    int rc = check_key(rq, key, err);
    if (rc < 0)
        return rc;
    rq->caller.key_id = key->id;
    rc = use_user(rq, cluster_find(rq->cluster, KIND_USER, key->user_id), err);
    if (rc == 0)
        key_uses_note(rq->cluster, key->id, control_now_ms(rq->control));
    return rc;
}

static int use_bearer(struct request *rq, const char *token, struct err *err)
{
    if (control_is_cluster_token(rq->control, token)) {
        rq->caller.kind = CALLER_CLUSTER;
        return 0;
    }
    const struct worker *worker = cluster_worker_by_token(rq->cluster, token);
    if (!worker)
        return use_key(rq, token, err);
    rq->caller.kind = CALLER_WORKER;
    rq->caller.worker_id = worker->id;
    return 0;
}

static int use_session(struct request *rq, const char *token, struct err *err)
{
    char digest[AUTH_DIGEST_HEX];
    auth_digest(str_of(token), digest);
    struct session *session = cluster_session_by_digest(rq->cluster, digest);
    int64_t now = control_now_ms(rq->control);
    if (!session || session->expires_at <= now)
        return err_set(err, ERR_UNAUTHORIZED, "the login has expired; sign in again");
    rq->caller.session_id = session->id;
    return use_user(rq, cluster_find(rq->cluster, KIND_USER, session->user_id), err);
}

static const struct user *first_admin(const struct cluster *cluster)
{
    CLUSTER_FOR_EACH(cluster, KIND_USER, struct user, user) {
        if (user->is_admin && user->is_active)
            return user;
    }
    return NULL;
}

/* ---- what the caller may do ---- */

static int check_access(struct request *rq, struct err *err)
{
    const struct user *user = rq->caller.kind == CALLER_USER ? request_user(rq) : NULL;
    /* Keys and the admin socket don't depend on the password, so they aren't held up by it. */
    bool by_password = user && !rq->caller.key_id && !rq->is_local;
    switch (rq->route->access) {
    case ACCESS_PUBLIC:
        return 0;
    case ACCESS_SELF:
        return user ? 0 : refuse(err);
    case ACCESS_USER:
    case ACCESS_ADMIN:
        if (!user)
            return refuse(err);
        if (by_password && user->require_password_change)
            return err_set(err, ERR_FORBIDDEN, PASSWORD_CHANGE_TEXT);
        if (rq->route->access == ACCESS_ADMIN && !user->is_admin)
            return err_set(err, ERR_FORBIDDEN, "only administrators may do this, %s is none",
                           user->username);
        return 0;
    case ACCESS_WORKER:
        return rq->caller.kind == CALLER_WORKER
                   ? 0
                   : err_set(err, ERR_UNAUTHORIZED, "this takes a worker's token");
    case ACCESS_CLUSTER:
        return rq->caller.kind == CALLER_CLUSTER
                   ? 0
                   : err_set(err, ERR_UNAUTHORIZED, "this takes the cluster token (%s)",
                             "file token in the server's data folder");
    case ACCESS_NOBODY:
    case ACCESS_COUNT:
        break;
    }
    return err_set(err, ERR_FORBIDDEN, "nobody may do this");
}

/* ---- name and password ---- */

static void basic_checked(struct request *rq, bool right)
{
    struct err err = {0};
    request_note_login(rq, right);
    int rc = right ? use_user(rq, request_user(rq), &err) : refuse(&err);
    if (rc == 0)
        rc = check_access(rq, &err);
    if (rc < 0)
        request_finish(rq, rc, &err);
    else
        request_continue(rq);
}

static int use_basic(struct request *rq, const struct auth_credentials *credentials,
                     struct err *err)
{
    int rc = request_ask_login(rq, credentials->user, err);
    if (rc < 0)
        return rc;
    const struct user *user = cluster_user_by_name(rq->cluster, credentials->user);
    /* Not known as the caller yet: only where to look when the answer is there. */
    rq->caller.user_id = user ? user->id : 0;
    return request_verify_password(rq, user ? user->password_hash : NULL, credentials->secret,
                                   basic_checked, err);
}

/* ---- all together ---- */

static int find_caller(struct request *rq, struct err *err)
{
    const struct http_headers *headers = &http_exchange_head(rq->ex)->headers;
    struct auth_credentials credentials = {0};
    int rc = auth_credentials_read(http_headers_get(headers, "authorization"),
                                   http_headers_get(headers, "x-api-key"),
                                   http_headers_get(headers, "cookie"), &credentials, err);
    if (rc < 0)
        return rc;
    switch (credentials.kind) {
    case AUTH_NONE:
        rc = rq->is_local ? use_user(rq, first_admin(rq->cluster), err) : 0;
        break;
    case AUTH_BEARER:
        rc = use_bearer(rq, credentials.secret, err);
        break;
    case AUTH_BASIC:
        rc = use_basic(rq, &credentials, err);
        break;
    case AUTH_SESSION:
        rc = use_session(rq, credentials.secret, err);
        break;
    }
    auth_credentials_fini(&credentials);
    return rc;
}

int caller_authorize(struct request *rq, struct err *err)
{
    if (rq->route->access == ACCESS_PUBLIC)
        return 0;
    int rc = find_caller(rq, err);
    return rc == 0 ? check_access(rq, err) : rc;
}

/* Whether the credential that the request came with is still good. */
static bool has_credential(const struct request *rq)
{
    const struct caller *caller = &rq->caller;
    int64_t now = control_now_ms(rq->control);
    const struct api_key *key = cluster_find(rq->cluster, KIND_API_KEY, caller->key_id);
    const struct session *session = cluster_find(rq->cluster, KIND_SESSION, caller->session_id);
    if (caller->key_id)
        return key && check_key(rq, key, NULL) == 0;
    return !caller->session_id || (session && session->expires_at > now);
}

bool caller_is_still_allowed(struct request *rq)
{
    if (rq->caller.kind == CALLER_USER) {
        const struct user *user = request_user(rq);
        if (!user || !user->is_active || !has_credential(rq))
            return false;
    }
    return check_access(rq, NULL) == 0;
}
