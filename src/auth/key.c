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
