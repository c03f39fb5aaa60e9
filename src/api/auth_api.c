/* SPDX-License-Identifier: Apache-2.0 */
/* Login and logout by cookie, and the change of one's own password. */
#include "api/api_priv.h"

#include "auth/auth.h"
#include "base/log.h"
#include "base/random.h"

/* ---- sessions ---- */

/* Over HTTPS the browser must never send it in the clear. */
static char *cookie_text(const struct request *rq, const char *token, int64_t life_ms)
{
    const struct http_headers *headers = &http_exchange_head(rq->ex)->headers;
    bool is_https =
        str_eq_nocase(http_headers_get(headers, "X-Forwarded-Proto"), STR("https"));
    return mem_printf(API_COOKIE "=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%lld%s", token,
                      (long long)(life_ms / 1000), is_https ? "; Secure" : "");
}

/* Ends the user's oldest sessions above the cap, and those that expired. */
static void prune_sessions(struct request *rq, int64_t user_id)
{
    const struct table *table = &rq->cluster->tables[KIND_SESSION];
    int kept = 0;
    for (size_t i = table->count; i-- > 0;) {
        const struct session *session = table->rows[i];
        if (session->expires_at <= control_now_ms(rq->control) ||
            (session->user_id == user_id && ++kept >= API_SESSIONS_PER_USER))
            cluster_delete(rq->cluster, KIND_SESSION, session->id);
    }
}

void session_start(struct request *rq, const struct user *user)
{
    int64_t user_id = user->id, now = control_now_ms(rq->control);
    prune_sessions(rq, user_id);
    auto_free char *token = random_hex(32);
    char digest[AUTH_DIGEST_HEX];
    auth_digest(str_of(token), digest);
    struct session fresh = {.user_id = user_id, .expires_at = now + API_SESSION_MS};
    mem_replace(&fresh.token_digest, digest);
    cluster_put(rq->cluster, KIND_SESSION, &fresh, now);
    rq->set_cookie = cookie_text(rq, token, API_SESSION_MS);
    explicit_bzero(token, strlen(token));
}

void session_end_all(struct request *rq, int64_t user_id)
{
    const struct table *table = &rq->cluster->tables[KIND_SESSION];
    for (size_t i = table->count; i-- > 0;) {
        const struct session *session = table->rows[i];
        if (session->user_id == user_id)
            cluster_delete(rq->cluster, KIND_SESSION, session->id);
    }
}

/* ---- login ---- */

static void reply_who(struct request *rq, const struct user *user)
{
    json_begin_object(&rq->json);
    json_put_string(&rq->json, "username", user->username);
    json_put_bool(&rq->json, "is_admin", user->is_admin);
    json_put_bool(&rq->json, "require_password_change", user->require_password_change);
    json_end_object(&rq->json);
}

static void login_checked(struct request *rq, bool right)
{
    struct err err = {0};
    const struct user *user = request_user(rq);
    request_note_login(rq, right);
    if (!right || !user || !user->is_active) {
        log_warning("auth", "a login failed");
        request_finish(rq, err_set(&err, ERR_UNAUTHORIZED, "the user name or password is wrong"),
                       &err);
        return;
    }
    session_start(rq, user);
    reply_who(rq, user);
    request_finish(rq, 0, NULL);
}

int auth_login(struct request *rq, struct err *err)
{
    const struct user *user =
        cluster_user_by_name(rq->cluster, json_member_string(rq->body, "username"));
    rq->caller.user_id = user ? user->id : 0;
    int rc = request_ask_login(rq, json_member_string(rq->body, "username"), err);
    if (rc < 0)
        return rc;
    return request_verify_password(rq, user ? user->password_hash : NULL,
                                   json_member_string(rq->body, "password"), login_checked, err);
}

int auth_logout(struct request *rq, struct err *err)
{
    if (rq->caller.session_id)
        cluster_delete(rq->cluster, KIND_SESSION, rq->caller.session_id);
    rq->set_cookie = cookie_text(rq, "", 0);
    json_add_null(&rq->json);
    return 0;
}

/* ---- password ---- */

static void password_hashed(struct request *rq, const char *hash)
{
    struct err err = {0};
    const struct user *user = request_user(rq);
    if (!user || !hash) {
        request_finish(rq, err_set(&err, ERR_UNAVAILABLE, "no memory to hash the password"), &err);
        return;
    }
    struct user copy = {0};
    record_copy(&user_type, &copy, user);
    mem_replace(&copy.password_hash, hash);
    copy.require_password_change = false;
    copy.version++;
    user = cluster_put(rq->cluster, KIND_USER, &copy, control_now_ms(rq->control));
    /* Whoever knew the old password is out; the caller stays in with a fresh login. */
    session_end_all(rq, user->id);
    if (rq->caller.session_id)
        session_start(rq, user);
    log_info("auth", "%s: changed the password", user->username);
    reply_who(rq, user);
    request_finish(rq, 0, NULL);
}

static void current_checked(struct request *rq, bool right)
{
    struct err err = {0};
    const char *fresh = json_member_string(rq->body, "new_password");
    request_note_login(rq, right);
    int rc = right ? auth_password_check(str_of(fresh), &err)
                   : err_set(&err, ERR_INVALID, "current_password is wrong");
    if (rc == 0)
        rc = request_hash_password(rq, fresh, password_hashed, &err);
    if (rc < 0)
        request_finish(rq, rc, &err);
}

int auth_update_password(struct request *rq, struct err *err)
{
    int rc = request_ask_login(rq, request_user(rq)->username, err);
    if (rc < 0)
        return rc;
    return request_verify_password(rq, request_user(rq)->password_hash,
                                   json_member_string(rq->body, "current_password"),
                                   current_checked, err);
}
