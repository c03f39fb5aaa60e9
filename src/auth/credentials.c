/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"
#include "base/utf8.h"

#include <sodium.h>

enum {
    TOKEN_MAX = 1024, /* bytes of a bearer token or a session cookie */
    BASIC_MAX = 1024, /* bytes of "user:password" in base64 */
};

#define SESSION_COOKIE STR("gpustack_session")

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_UNAUTHORIZED, "%s", why);
}

/* Tokens are visible ASCII: what can stand in a header without quoting. */
static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    return text.len > 0 && text.len <= TOKEN_MAX;
}

static int read_token(struct str token, enum auth_kind kind, struct auth_credentials *ret)
{
    if (!is_token(token))
        return ERR_UNAUTHORIZED;
    *ret = (struct auth_credentials){.kind = kind, .secret = str_dup(token)};
    return 0;
}

static bool has_control_character(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* "user:password"; the password may have colons, the user may not. */
static int split_basic(struct str pair, struct auth_credentials *ret)
{
    size_t colon = str_find(pair, ':');
    if (colon == 0 || colon == pair.len || !utf8_is_valid(pair) || has_control_character(pair))
        return ERR_UNAUTHORIZED;
    *ret = (struct auth_credentials){
        .kind = AUTH_BASIC,
        .user = mem_strndup(pair.ptr, colon),
        .secret = str_dup(str_skip(pair, colon + 1)),
    };
    return 0;
}

static int read_basic(struct str text, struct auth_credentials *ret)
{
    unsigned char pair[BASIC_MAX * 3 / 4];
    size_t n;
    if (text.len == 0 || text.len > BASIC_MAX ||
        sodium_base642bin(pair, sizeof pair, text.ptr, text.len, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) < 0)
        return ERR_UNAUTHORIZED;
    int rc = split_basic(str_sub((const char *)pair, n), ret);
    sodium_memzero(pair, sizeof pair);
    return rc;
}

static int read_authorization(struct str value, struct auth_credentials *ret, struct err *err)
{
    size_t space = str_find(value, ' ');
    struct str scheme = str_sub(value.ptr, space);
    struct str rest = str_trim(str_skip(value, space));
    if (str_eq_nocase(scheme, STR("Bearer"))) {
        if (read_token(rest, AUTH_BEARER, ret) < 0)
            return refuse(err, "Authorization: Bearer must be followed by one token");
        return 0;
    }
    if (str_eq_nocase(scheme, STR("Basic"))) {
        if (read_basic(rest, ret) < 0)
            return refuse(err, "Authorization: Basic must be followed by user:password in base64");
        return 0;
    }
    return refuse(err, "Authorization must be Bearer or Basic");
}

/* The value of our cookie; the empty view when it isn't among the browser's. */
static struct str find_session(struct str cookie)
{
    struct str pair;
    while (str_split(&cookie, ';', &pair)) {
        pair = str_trim(pair);
        size_t equals = str_find(pair, '=');
        if (equals < pair.len && str_eq(str_sub(pair.ptr, equals), SESSION_COOKIE))
            return str_skip(pair, equals + 1);
    }
    return (struct str){0};
}

int auth_credentials_read(struct str authorization, struct str x_api_key, struct str cookie,
                          struct auth_credentials *ret, struct err *err)
{
    authorization = str_trim(authorization);
    x_api_key = str_trim(x_api_key);
    struct str session = find_session(cookie);
    if (authorization.len)
        return read_authorization(authorization, ret, err);
    if (x_api_key.len) {
        if (read_token(x_api_key, AUTH_BEARER, ret) < 0)
            return refuse(err, "X-API-Key must be one token");
        return 0;
    }
    if (session.len) {
        if (read_token(session, AUTH_SESSION, ret) < 0)
            return refuse(err, "cookie gpustack_session must be one token");
        return 0;
    }
    *ret = (struct auth_credentials){.kind = AUTH_NONE};
    return 0;
}

void auth_credentials_fini(struct auth_credentials *credentials)
{
    free(credentials->user);
    mem_free_secret(credentials->secret);
    *credentials = (struct auth_credentials){0};
}
