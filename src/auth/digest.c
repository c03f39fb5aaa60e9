/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"
#include "base/random.h"

#include <sodium.h>

void auth_init(void)
{
    if (sodium_init() < 0)
        abort();
}

static const unsigned char *bytes_of(struct str text)
{
    return (const unsigned char *)(text.len ? text.ptr : "");
}

void auth_digest(struct str text, char ret[AUTH_DIGEST_HEX])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, bytes_of(text), text.len);
    hex_encode(digest, sizeof digest, ret);
}

void auth_hmac(struct str key, struct str text, char ret[AUTH_DIGEST_HEX])
{
    unsigned char digest[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, bytes_of(key), key.len);
    crypto_auth_hmacsha256_update(&state, bytes_of(text), text.len);
    crypto_auth_hmacsha256_final(&state, digest);
    hex_encode(digest, sizeof digest, ret);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(digest, sizeof digest);
}
