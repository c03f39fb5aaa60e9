/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"
#include "base/random.h"

#include <errno.h>
#include <sodium.h>

#define PREFIX "gpustack_"

enum {
    ACCESS_HEX = sizeof((struct auth_key){0}.access) - 1,
    SECRET_HEX = sizeof((struct auth_key){0}.secret) - 1,
};

void auth_key_make(struct auth_key *ret)
{
    unsigned char raw[ACCESS_HEX / 2 + SECRET_HEX / 2];
    random_bytes(raw, sizeof raw);
    hex_encode(raw, ACCESS_HEX / 2, ret->access);
    hex_encode(raw + ACCESS_HEX / 2, SECRET_HEX / 2, ret->secret);
    sodium_memzero(raw, sizeof raw);
}

char *auth_key_format(const struct auth_key *key)
{
    return mem_printf(PREFIX "%s_%s", key->access, key->secret);
}

static bool is_hex(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return true;
}

int auth_key_renew(const char *access, struct auth_key *ret)
{
    if (strlen(access) != ACCESS_HEX || !is_hex(str_of(access)))
        return ERR_INVALID;
    auth_key_make(ret);
    memcpy(ret->access, access, ACCESS_HEX);
    return 0;
}

int auth_key_parse(struct str text, struct auth_key *ret)
{
    size_t prefix = strlen(PREFIX);
    if (!str_has_prefix(text, STR(PREFIX)) || text.len != prefix + ACCESS_HEX + 1 + SECRET_HEX ||
        text.ptr[prefix + ACCESS_HEX] != '_')
        return -EINVAL;
    struct str access = str_sub(text.ptr + prefix, ACCESS_HEX);
    struct str secret = str_sub(text.ptr + prefix + ACCESS_HEX + 1, SECRET_HEX);
    if (!is_hex(access) || !is_hex(secret))
        return -EINVAL;
    *ret = (struct auth_key){0};
    memcpy(ret->access, access.ptr, access.len);
    memcpy(ret->secret, secret.ptr, secret.len);
    return 0;
}

void auth_key_lookup(struct str token, struct auth_lookup *ret)
{
    struct auth_key parts;
    if (auth_key_parse(token, &parts) == 0) {
        auth_digest(str_of(parts.secret), ret->digest);
        memcpy(ret->access, parts.access, sizeof ret->access);
        sodium_memzero(&parts, sizeof parts);
        return;
    }
    auth_digest(token, ret->digest);
    memcpy(ret->access, ret->digest, ACCESS_HEX);
    ret->access[ACCESS_HEX] = '\0';
}

int auth_custom_check(struct str text, struct err *err)
{
    if (text.len < AUTH_CUSTOM_MIN || text.len > AUTH_CUSTOM_MAX)
        return err_set(err, ERR_INVALID, "custom: must be %d-%d characters, not %zu",
                       AUTH_CUSTOM_MIN, AUTH_CUSTOM_MAX, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return err_set(err, ERR_INVALID,
                           "custom: must be visible ASCII without spaces, which character %zu "
                           "isn't",
                           i + 1);
    if (str_has_prefix(text, STR(PREFIX)))
        return err_set(err, ERR_INVALID,
                       "custom: must not begin with \"" PREFIX "\": keys that the server makes do");
    return 0;
}
