/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/authenticate.h"

#include "auth/auth.h"

enum { USE_STEP_MS = 1000 };

/* One text for all that is wrong with a key, so that probing tells nothing about which part. */
static int refuse_key(struct err *err)
{
    return err_set(err, ERR_UNAUTHORIZED, "the API key is not valid or has expired");
}

static struct entry *active_user(const struct snapshot *snapshot, int64_t id)
{
    struct entry *user = snapshot_user(snapshot, id);
    return user && user->user.is_active ? user : NULL;
}

/* The time is shared by all loops: it is written once a second only, not by every request. */
static void note_use(struct key_entry *key, int64_t now_ms)
{
    if (now_ms - atomic_load_explicit(&key->used_ms, memory_order_relaxed) >= USE_STEP_MS)
        atomic_store_explicit(&key->used_ms, now_ms, memory_order_relaxed);
}

/* Both are compared whatever comes out, so that the time tells nothing. */
static bool has_digest(const struct key_entry *key, const char *digest, int64_t now_ms)
{
    bool is_present = str_eq_const_time(str_of(digest), str_of(key->secret_digest));
    bool is_previous = str_eq_const_time(str_of(digest), str_of(key->previous_digest));
    return is_present | (is_previous & (key->previous_expires_at_ms > now_ms));
}

static int check_key(const struct snapshot *snapshot, struct auth_cache *cache, struct str token,
                     int64_t now_ms, struct identity *ret, struct err *err)
{
    struct auth_lookup lookup;
    auth_cache_lookup(cache, token, &lookup);
    struct entry *key = snapshot_key(snapshot, str_of(lookup.access));
    bool good = key && has_digest(&key->key, lookup.digest, now_ms);
    if (!good || (key->key.expires_at_ms != 0 && key->key.expires_at_ms <= now_ms))
        return refuse_key(err);
    struct entry *user = active_user(snapshot, key->key.user_id);
    if (!user)
        return refuse_key(err);
    if (!key->key.may_infer)
        return err_set(err, ERR_FORBIDDEN, "the API key's scope does not include inference");
    note_use(&key->key, now_ms);
    *ret = (struct identity){.user = user, .key = key};
    return 0;
}

static int check_session(const struct snapshot *snapshot, struct str cookie, int64_t now_ms,
                         struct identity *ret, struct err *err)
{
    char digest[AUTH_DIGEST_HEX];
    auth_digest(cookie, digest);
    const struct entry *session = snapshot_session(snapshot, str_of(digest));
    struct entry *user = NULL;
    if (session && session->session.expires_at_ms > now_ms)
        user = active_user(snapshot, session->session.user_id);
    if (!user)
        return err_set(err, ERR_UNAUTHORIZED, "the session is not valid or has expired");
    if (user->user.require_password_change)
        return err_set(err, ERR_FORBIDDEN,
                       "the password must be changed before this session can be used");
    *ret = (struct identity){.user = user};
    return 0;
}

static int check_credentials(const struct snapshot *snapshot, struct auth_cache *cache,
                             const struct auth_credentials *credentials, int64_t now_ms,
                             struct identity *ret, struct err *err)
{
    switch (credentials->kind) {
    case AUTH_BEARER:
        return check_key(snapshot, cache, str_of(credentials->secret), now_ms, ret, err);
    case AUTH_SESSION:
        return check_session(snapshot, str_of(credentials->secret), now_ms, ret, err);
    case AUTH_BASIC:
        return err_set(err, ERR_UNAUTHORIZED,
                       "user name and password are not accepted here; send an API key");
    case AUTH_NONE:
        break;
    }
    return err_set(err, ERR_UNAUTHORIZED,
                   "no API key was sent; send it as \"Authorization: Bearer KEY\"");
}

int authenticate(const struct snapshot *snapshot, struct auth_cache *cache,
                 const struct http_headers *headers, int64_t now_ms, struct identity *ret,
                 struct err *err)
{
    struct auth_credentials credentials = {0};
    int rc = auth_credentials_read(http_headers_get(headers, "Authorization"),
                                   http_headers_get(headers, "X-API-Key"),
                                   http_headers_get(headers, "Cookie"), &credentials, err);
    if (rc < 0)
        return rc;
    rc = check_credentials(snapshot, cache, &credentials, now_ms, ret, err);
    auth_credentials_fini(&credentials);
    return rc;
}
