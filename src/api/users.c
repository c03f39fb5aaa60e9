/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_priv.h"

#include "auth/auth.h"
#include "base/log.h"

int users_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_USER};
    return list_reply(rq, &view, err);
}

int users_get(struct request *rq, struct err *err)
{
    const struct user *user = cluster_find(rq->cluster, KIND_USER, rq->id);
    return user ? reply_record(rq, KIND_USER, user) : no_such(rq, KIND_USER, err);
}

int users_me(struct request *rq, struct err *err)
{
    return reply_record(rq, KIND_USER, request_user(rq));
}

/* ---- create ---- */

static int refuse_name(const char *username, struct err *err)
{
    return err_set(err, ERR_EXISTS, "there is a user %s already; choose another user name",
                   username);
}

static void create_hashed(struct request *rq, const char *hash)
{
    struct err err = {0};
    struct user fresh = {0};
    record_init(&user_type, &fresh);
    int rc = hash ? record_read(&user_type, &fresh, rq->body, RECORD_CREATE, &err)
                  : err_set(&err, ERR_UNAVAILABLE, "no memory to hash the password");
    /* Somebody else may have taken the name while the hash was made. */
    if (rc == 0 && cluster_user_by_name(rq->cluster, fresh.username))
        rc = refuse_name(fresh.username, &err);
    if (rc == 0) {
        mem_replace(&fresh.password_hash, hash);
        mem_free_secret(TAKE(fresh.password));
        log_info("user", "%s: created", fresh.username);
        reply_record(rq, KIND_USER,
                     cluster_put(rq->cluster, KIND_USER, &fresh, control_now_ms(rq->control)));
    }
    record_fini(&user_type, &fresh);
    request_finish(rq, rc, &err);
}

int users_create(struct request *rq, struct err *err)
{
    struct user checked = {0};
    record_init(&user_type, &checked);
    int rc = record_read(&user_type, &checked, rq->body, RECORD_CREATE, err);
    if (rc == 0)
        rc = user_validate(&checked, err);
    if (rc == 0 && cluster_user_by_name(rq->cluster, checked.username))
        rc = refuse_name(checked.username, err);
    if (rc == 0)
        rc = auth_password_check(str_of(checked.password), err);
    if (rc == 0)
        rc = request_hash_password(rq, checked.password, create_hashed, err);
    mem_free_secret(TAKE(checked.password));
    record_fini(&user_type, &checked);
    return rc;
}

/* ---- update ---- */

static bool is_last_admin(const struct cluster *cluster, const struct user *user)
{
    if (!user->is_admin || !user->is_active)
        return false;
    CLUSTER_FOR_EACH(cluster, KIND_USER, struct user, other) {
        if (other->id != user->id && other->is_admin && other->is_active)
            return false;
    }
    return true;
}

static int refuse_last_admin(const struct user *user, struct err *err)
{
    return err_set(err, ERR_CONFLICT,
                   "%s is the last active administrator: make another user an administrator first",
                   user->username);
}

/* Merges the body into the user `id`; `hash` (or NULL) is a new password's. */
static int apply_update(struct request *rq, int64_t id, const char *hash, struct err *err)
{
    const struct user *user = cluster_find(rq->cluster, KIND_USER, id);
    if (!user)
        return no_such(rq, KIND_USER, err);
    struct user copy = {0};
    record_copy(&user_type, &copy, user);
    int rc = version_check(rq, KIND_USER, user, err);
    if (rc == 0)
        rc = record_read(&user_type, &copy, rq->body, RECORD_MERGE, err);
    mem_free_secret(TAKE(copy.password));
    if (rc == 0 && is_last_admin(rq->cluster, user) && !(copy.is_admin && copy.is_active))
        rc = refuse_last_admin(user, err);
    if (rc < 0) {
        record_fini(&user_type, &copy);
        return rc;
    }
    version_grow(KIND_USER, user, &copy);
    if (hash) {
        mem_replace(&copy.password_hash, hash);
        copy.version = user->version + 1;
        session_end_all(rq, id);
    }
    user = cluster_put(rq->cluster, KIND_USER, &copy, control_now_ms(rq->control));
    return reply_record(rq, KIND_USER, user);
}

static void update_hashed(struct request *rq, const char *hash)
{
    struct err err = {0};
    int rc = hash ? apply_update(rq, rq->id, hash, &err)
                  : err_set(&err, ERR_UNAVAILABLE, "no memory to hash the password");
    request_finish(rq, rc, &err);
}

int users_update(struct request *rq, struct err *err)
{
    const char *password = json_member_string(rq->body, "password");
    if (!password)
        return apply_update(rq, rq->id, NULL, err);
    int rc = auth_password_check(str_of(password), err);
    return rc < 0 ? rc : request_hash_password(rq, password, update_hashed, err);
}

/* Drops all members of the body but these. */
static void keep_members(struct request *rq, const char *const *names)
{
    json_t *part = json_object();
    for (; *names; names++) {
        json_t *value = json_object_get(rq->body, *names);
        if (value)
            json_object_set(part, *names, value);
    }
    json_decref(rq->body);
    rq->body = part;
}

/* GPUStack's PATCH: {"is_active": BOOL} and nothing else. */
int users_activate(struct request *rq, struct err *err)
{
    keep_members(rq, (const char *const[]){"is_active", "version", NULL});
    return apply_update(rq, rq->id, NULL, err);
}

int users_update_me(struct request *rq, struct err *err)
{
    keep_members(rq, (const char *const[]){"full_name", "avatar_url", "version", NULL});
    return apply_update(rq, rq->caller.user_id, NULL, err);
}

int users_delete(struct request *rq, struct err *err)
{
    const struct user *user = cluster_find(rq->cluster, KIND_USER, rq->id);
    if (!user)
        return no_such(rq, KIND_USER, err);
    if (is_last_admin(rq->cluster, user))
        return refuse_last_admin(user, err);
    int rc = version_check(rq, KIND_USER, user, err);
    if (rc < 0)
        return rc;
    log_info("user", "%s: deleted", user->username);
    cluster_delete(rq->cluster, KIND_USER, rq->id);
    json_add_null(&rq->json);
    return 0;
}
