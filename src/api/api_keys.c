/* SPDX-License-Identifier: Apache-2.0 */
/* A user's own API keys. The key itself is shown once, in the answer to its creation. */
#include "api/api_priv.h"

#include "auth/auth.h"

enum { KEYS_PER_USER_MAX = 1000, EXPIRES_IN_MAX = 100 * 365 * 24 * 3600LL };

bool api_keys_is_own(struct request *rq, const void *record)
{
    return ((const struct api_key *)record)->user_id == rq->caller.user_id;
}

int api_keys_list(struct request *rq, struct err *err)
{
    static const struct list_view view = {.kind = KIND_API_KEY, .accept = api_keys_is_own};
    return list_reply(rq, &view, err);
}

static int check_fresh(struct request *rq, const struct api_key *fresh, struct err *err)
{
    int count = 0;
    CLUSTER_FOR_EACH(rq->cluster, KIND_API_KEY, struct api_key, key) {
        if (key->user_id != rq->caller.user_id)
            continue;
        count++;
        if (strcmp(key->name, fresh->name) == 0)
            return err_set(err, ERR_EXISTS, "there is an API key %s already", fresh->name);
    }
    if (count >= KEYS_PER_USER_MAX)
        return err_set(err, ERR_CONFLICT, "a user has at most %d API keys", KEYS_PER_USER_MAX);
    if (fresh->expires_in < 0 || fresh->expires_in > EXPIRES_IN_MAX)
        return err_set(err, ERR_INVALID, "expires_in: must be 0-%lld seconds, not %lld",
                       (long long)EXPIRES_IN_MAX, (long long)fresh->expires_in);
    return api_key_validate(fresh, err);
}

static void reply_with_value(struct request *rq, const struct api_key *key,
                             const struct auth_key *parts)
{
    char *value = auth_key_format(parts);
    json_begin_object(&rq->json);
    record_write_members(&api_key_type, key, &rq->json);
    json_put_string(&rq->json, "value", value);
    json_end_object(&rq->json);
    mem_free_secret(value);
}

int api_keys_create(struct request *rq, struct err *err)
{
    int rc = request_need_body(rq, err);
    if (rc < 0)
        return rc;
    struct api_key fresh = {0};
    record_init(&api_key_type, &fresh);
    rc = record_read(&api_key_type, &fresh, rq->body, RECORD_CREATE, err);
    if (rc == 0)
        rc = check_fresh(rq, &fresh, err);
    if (rc < 0) {
        record_fini(&api_key_type, &fresh);
        return rc;
    }
    struct auth_key parts;
    char digest[AUTH_DIGEST_HEX];
    auth_key_make(&parts);
    auth_digest(str_of(parts.secret), digest);
    mem_replace(&fresh.access_key, parts.access);
    mem_replace(&fresh.secret_digest, digest);
    fresh.user_id = rq->caller.user_id;
    int64_t now = control_now_ms(rq->control);
    fresh.expires_at = fresh.expires_in ? now + fresh.expires_in * 1000 : 0;
    const struct api_key *key = cluster_put(rq->cluster, KIND_API_KEY, &fresh, now);
    reply_with_value(rq, key, &parts);
    explicit_bzero(&parts, sizeof parts);
    return 0;
}

int api_keys_delete(struct request *rq, struct err *err)
{
    const struct api_key *key = cluster_find(rq->cluster, KIND_API_KEY, rq->id);
    /* Somebody else's key doesn't exist for this user. */
    if (!key || !api_keys_is_own(rq, key))
        return no_such(rq, KIND_API_KEY, err);
    cluster_delete(rq->cluster, KIND_API_KEY, rq->id);
    json_add_null(&rq->json);
    return 0;
}
