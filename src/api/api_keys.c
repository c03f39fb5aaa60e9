/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API keys: everybody's own, and for administrators those of others, to turn them off. A key's
 * value is shown once, in the answer to its creation; of it only digests are kept.
 */
#include "api/api_priv.h"

#include "auth/auth.h"
#include "base/log.h"
#include "control/key_uses.h"

enum { KEYS_PER_USER_MAX = 1000 };

static const int64_t expires_in_max = 100 * 365 * 24 * 3600LL; /* seconds */

bool api_keys_is_own(struct request *rq, const void *record)
{
    return ((const struct api_key *)record)->user_id == rq->caller.user_id;
}

/* Asked again for each row, since a watch may outlive the caller's being an administrator. */
static bool is_visible(struct request *rq, const void *record)
{
    return api_keys_is_own(rq, record) || request_user(rq)->is_admin;
}

int api_keys_list(struct request *rq, struct err *err)
{
    static const struct list_view own = {.kind = KIND_API_KEY, .accept = api_keys_is_own};
    static const struct list_view of_user = {.kind = KIND_API_KEY, .accept = is_visible};
    auto_free char *user_id = request_query(rq, "user_id");
    /* GPUStack's UI sends unused filters empty: that asks for nobody else's. */
    return list_reply(rq, user_id && *user_id ? &of_user : &own, err);
}

/* The key at {id} if the caller may see it: others' don't exist for a user. */
static const struct api_key *find_key(struct request *rq, struct err *err)
{
    const struct api_key *key = cluster_find(rq->cluster, KIND_API_KEY, rq->id);
    if (key && is_visible(rq, key))
        return key;
    (void)no_such(rq, KIND_API_KEY, err);
    return NULL;
}

int api_keys_get(struct request *rq, struct err *err)
{
    const struct api_key *key = find_key(rq, err);
    return key ? reply_record(rq, KIND_API_KEY, key) : ERR_NOT_FOUND;
}

/* ---- checks ---- */

static int check_key(struct request *rq, const struct api_key *fresh, struct err *err)
{
    int count = 0;
    CLUSTER_FOR_EACH(rq->cluster, KIND_API_KEY, struct api_key, key) {
        if (key->user_id != fresh->user_id || key->id == fresh->id)
            continue;
        count++;
        if (strcmp(key->name, fresh->name) == 0)
            return err_set(err, ERR_EXISTS, "there is an API key %s already; choose another name",
                           fresh->name);
    }
    if (count >= KEYS_PER_USER_MAX)
        return err_set(err, ERR_CONFLICT, "a user has at most %d API keys; remove some first",
                       KEYS_PER_USER_MAX);
    return api_key_validate(fresh, err);
}

/* Sets when the key expires, if the body says so. */
static int read_expiry(struct request *rq, struct api_key *key, struct err *err)
{
    if (key->expires_in < 0 || key->expires_in > expires_in_max)
        return err_set(err, ERR_INVALID, "expires_in: must be 0-%lld seconds (0: never), not %lld",
                       (long long)expires_in_max, (long long)key->expires_in);
    if (json_object_get(rq->body, "expires_in"))
        key->expires_at =
            key->expires_in ? control_now_ms(rq->control) + key->expires_in * 1000 : 0;
    key->expires_in = 0;
    return 0;
}

/* ---- create ---- */

static void set_lookup(struct api_key *key, const char *value)
{
    struct auth_lookup lookup;
    auth_key_lookup(str_of(value), &lookup);
    mem_replace(&key->access_key, lookup.access);
    mem_replace(&key->secret_digest, lookup.digest);
}

static int use_custom(struct request *rq, struct api_key *fresh, const char *value, struct err *err)
{
    int rc = auth_custom_check(str_of(value), err);
    if (rc < 0)
        return rc;
    set_lookup(fresh, value);
    fresh->is_custom = true;
    if (control_is_cluster_token(rq->control, value) ||
        cluster_key_by_access(rq->cluster, fresh->access_key))
        return err_set(err, ERR_EXISTS, "custom: this value can't be taken, choose another one");
    return 0;
}

/* Gives the fresh key its value: `*ret` is owned and secret. */
static int make_value(struct request *rq, struct api_key *fresh, char **ret, struct err *err)
{
    const json_t *custom = json_object_get(rq->body, "custom");
    if (custom && !json_is_null(custom)) {
        if (!json_is_string(custom))
            return err_set(err, ERR_INVALID, "custom: must be a string, the key's whole value");
        int rc = use_custom(rq, fresh, json_string_value(custom), err);
        if (rc == 0)
            *ret = mem_strdup(json_string_value(custom));
        return rc;
    }
    struct auth_key parts;
    auth_key_make(&parts);
    *ret = auth_key_format(&parts);
    explicit_bzero(&parts, sizeof parts);
    set_lookup(fresh, *ret);
    return 0;
}

static void reply_with_value(struct request *rq, const struct api_key *key, const char *value)
{
    rq->etag = key->version;
    rq->is_secret = true;
    json_begin_object(&rq->json);
    record_write_members(&api_key_type, key, &rq->json);
    json_put_string(&rq->json, "value", value);
    json_end_object(&rq->json);
}

int api_keys_create(struct request *rq, struct err *err)
{
    struct api_key fresh = {0};
    char *value = NULL;
    record_init(&api_key_type, &fresh);
    int rc = record_read(&api_key_type, &fresh, rq->body, RECORD_CREATE, err);
    fresh.user_id = rq->caller.user_id;
    if (rc == 0)
        rc = check_key(rq, &fresh, err);
    if (rc == 0)
        rc = read_expiry(rq, &fresh, err);
    if (rc == 0)
        rc = make_value(rq, &fresh, &value, err);
    if (rc == 0)
        reply_with_value(
            rq, cluster_put(rq->cluster, KIND_API_KEY, &fresh, control_now_ms(rq->control)), value);
    record_fini(&api_key_type, &fresh);
    mem_free_secret(value);
    return rc;
}

/* ---- update and delete ---- */

int api_keys_update(struct request *rq, struct err *err)
{
    const struct api_key *key = find_key(rq, err);
    if (!key)
        return ERR_NOT_FOUND;
    struct api_key copy = {0};
    record_copy(&api_key_type, &copy, key);
    int rc = version_check(rq, KIND_API_KEY, key, err);
    if (rc == 0)
        rc = record_read(&api_key_type, &copy, rq->body, RECORD_MERGE, err);
    if (rc == 0)
        rc = check_key(rq, &copy, err);
    if (rc == 0)
        rc = read_expiry(rq, &copy, err);
    if (rc < 0) {
        record_fini(&api_key_type, &copy);
        return rc;
    }
    version_grow(KIND_API_KEY, key, &copy);
    if (copy.expires_at != key->expires_at && copy.version == key->version)
        copy.version++;
    key = cluster_put(rq->cluster, KIND_API_KEY, &copy, control_now_ms(rq->control));
    return reply_record(rq, KIND_API_KEY, key);
}

int api_keys_delete(struct request *rq, struct err *err)
{
    const struct api_key *key = find_key(rq, err);
    if (!key)
        return ERR_NOT_FOUND;
    int rc = version_check(rq, KIND_API_KEY, key, err);
    if (rc < 0)
        return rc;
    if (!api_keys_is_own(rq, key))
        log_info("key", "%s of user %lld: removed by an administrator", key->name,
                 (long long)key->user_id);
    cluster_delete(rq->cluster, KIND_API_KEY, rq->id);
    json_add_null(&rq->json);
    return 0;
}

/* ---- rotate ---- */

static int check_rotation(struct request *rq, const struct api_key *key, struct err *err)
{
    if (!api_keys_is_own(rq, key))
        return err_set(err, ERR_FORBIDDEN,
                       "the key %s is another user's: only its owner may have its value",
                       key->name);
    if (key->expires_at && key->expires_at <= control_now_ms(rq->control))
        return err_set(err, ERR_CONFLICT,
                       "the key %s has expired; give it another expires_in first", key->name);
    return version_check(rq, KIND_API_KEY, key, err);
}

/*
 * A fresh value under the same access half. That holds of a chosen value too, which is found by
 * what looks like one; from now on the key is as those that the server makes.
 */
static int renew_value(struct request *rq, struct api_key *key, char **ret, struct err *err)
{
    struct auth_key parts;
    struct auth_lookup lookup;
    int64_t overlap_s = json_member_int(rq->body, "overlap_seconds", 0);
    if (auth_key_renew(key->access_key, &parts) < 0)
        return err_set(err, ERR_CONFLICT, "the key %s can't be rotated; make another one",
                       key->name);
    *ret = auth_key_format(&parts);
    auth_key_lookup(str_of(*ret), &lookup);
    explicit_bzero(&parts, sizeof parts);
    mem_replace(&key->previous_digest, overlap_s ? key->secret_digest : NULL);
    key->previous_expires_at = overlap_s ? control_now_ms(rq->control) + overlap_s * 1000 : 0;
    mem_replace(&key->secret_digest, lookup.digest);
    key->is_custom = false;
    key->version++;
    return 0;
}

int api_keys_rotate(struct request *rq, struct err *err)
{
    const struct api_key *key = find_key(rq, err);
    if (!key)
        return ERR_NOT_FOUND;
    struct api_key copy = {0};
    char *value = NULL;
    record_copy(&api_key_type, &copy, key);
    int rc = check_rotation(rq, key, err);
    if (rc == 0)
        rc = renew_value(rq, &copy, &value, err);
    if (rc == 0) {
        log_info("key", "%s of user %lld: rotated", key->name, (long long)key->user_id);
        key = cluster_put(rq->cluster, KIND_API_KEY, &copy, control_now_ms(rq->control));
        reply_with_value(rq, key, value);
        rq->status = 201;
    }
    record_fini(&api_key_type, &copy);
    mem_free_secret(value);
    return rc;
}

/* ---- what gateways tell ---- */

/* Ages, not times: the clock of a gateway's machine is compared with nothing. */
int api_keys_uses(struct request *rq, struct err *err)
{
    const json_t *uses = json_object_get(rq->body, "uses");
    int64_t now_ms = control_now_ms(rq->control);
    size_t i;
    json_t *use;
    json_array_foreach(uses, i, use)
        key_uses_note(rq->cluster, json_member_int(use, "key_id", 0),
                      now_ms - json_member_int(use, "age_ms", 0));
    rq->status = 204;
    rq->changes_before = control_change_count(rq->control); /* it need not wait for the disk */
    return 0;
}
