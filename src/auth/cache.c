/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include <sodium.h>
#include <string.h>

enum {
    SLOTS = 256, /* a power of two; two tokens of one slot only take turns */
    TAG_BYTES = crypto_shorthash_siphashx24_BYTES,
};

struct slot {
    unsigned char tag[TAG_BYTES];
    bool is_used;
    struct auth_lookup lookup;
};

struct auth_cache {
    unsigned char key[crypto_shorthash_siphashx24_KEYBYTES];
    struct slot slots[SLOTS];
};

struct auth_cache *auth_cache_new(void)
{
    struct auth_cache *cache = mem_alloc(sizeof *cache);
    randombytes_buf(cache->key, sizeof cache->key);
    return cache;
}

void auth_cache_free(struct auth_cache *cache)
{
    if (!cache)
        return;
    sodium_memzero(cache, sizeof *cache);
    free(cache);
}

void auth_cache_lookup(struct auth_cache *cache, struct str token, struct auth_lookup *ret)
{
    unsigned char tag[TAG_BYTES];
    if (!cache) {
        auth_key_lookup(token, ret);
        return;
    }
    crypto_shorthash_siphashx24(tag, (const unsigned char *)token.ptr, token.len, cache->key);
    struct slot *slot = &cache->slots[tag[0] % SLOTS];
    if (!slot->is_used || sodium_memcmp(slot->tag, tag, sizeof tag) != 0) {
        auth_key_lookup(token, &slot->lookup);
        memcpy(slot->tag, tag, sizeof tag);
        slot->is_used = true;
    }
    *ret = slot->lookup;
}
