/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials: password hashes, key and token formats, digests, policies. Pure but for the
 * randomness of fresh secrets; any thread. Password hashing is slow by design (64 MiB, ~90 ms): run
 * it in the loop's pool, never on a loop thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Once per process, before any other call (libsodium). */
void auth_init(void);

enum { AUTH_DIGEST_HEX = 65, AUTH_PASSWORD_MAX = 256 };

/* ---- passwords ---- */

/*
 * Argon2id string ("$argon2id$..."); NULL when there is no memory for it or the password is longer
 * than AUTH_PASSWORD_MAX. Slow. Returns owned.
 */
char *auth_password_hash(struct str password);

/*
 * Slow. A NULL hash costs the same time and is false: user names can't be guessed by timing. A
 * password longer than AUTH_PASSWORD_MAX is false at once.
 */
bool auth_password_verify(const char *hash, struct str password);

/* 8-256 bytes with upper, lower, digit and one of !@#$%^&*_+ (GPUStack's policy). ERR_INVALID. */
int auth_password_check(struct str password, struct err *err) must_check;

/* 12 random characters that pass the policy. Returns owned. */
char *auth_password_make(void);

/* ---- API keys: gpustack_<16 hex access>_<32 hex secret> ---- */

struct auth_key {
    char access[17];
    char secret[33];
};

void auth_key_make(struct auth_key *ret);

/* A key with a fresh secret half and the access half given: ERR_INVALID when that can't be one. */
int auth_key_renew(const char *access, struct auth_key *ret) must_check;
char *auth_key_format(const struct auth_key *key);

/* -EINVAL when the text isn't such a key. */
int auth_key_parse(struct str text, struct auth_key *ret) must_check;

/*
 * How a key is found in a table and then checked, whoever made it. Of a generated one: its access
 * half, and the digest of its secret half. Of any other text, which may be a key that its user
 * chose: the first 16 digits of its digest, and the digest.
 */
struct auth_lookup {
    char access[17];
    char digest[AUTH_DIGEST_HEX];
};


/* Looks up any bearer token; what isn't a key is simply not found by it. */
void auth_key_lookup(struct str token, struct auth_lookup *ret);

/*
 * Remembers the last look-ups, because a digest is a good part of what a request costs. It holds no
 * token, only a 128-bit hash of it under a random key (SipHash-2-4), by which nobody can make
 * another token pass for it, and the digests that a table of keys has anyway. One thread.
 */
struct auth_cache;

/* Returns owned; about 32 KiB. */
struct auth_cache *auth_cache_new(void);

/* Wiped. NULL is fine. */
void auth_cache_free(struct auth_cache *cache);

/* As auth_key_lookup(). `cache` may be NULL. */
void auth_cache_lookup(struct auth_cache *cache, struct str token, struct auth_lookup *ret);

enum { AUTH_CUSTOM_MIN = 16, AUTH_CUSTOM_MAX = 256 };

/*
 * Whether a text may be a key that a user chose: visible ASCII of AUTH_CUSTOM_MIN to
 * AUTH_CUSTOM_MAX bytes that doesn't begin as our own keys and tokens do. ERR_INVALID; the text
 * isn't repeated.
 */
int auth_custom_check(struct str text, struct err *err) must_check;

/* ---- digests ---- */

/* SHA-256 as lower-case hex. */
void auth_digest(struct str text, char ret[AUTH_DIGEST_HEX]);

/* HMAC-SHA-256 of `text` under `key` as lower-case hex: tokens of workers and instances. */
void auth_hmac(struct str key, struct str text, char ret[AUTH_DIGEST_HEX]);

/* ---- request credentials ---- */

enum auth_kind { AUTH_NONE, AUTH_BEARER, AUTH_BASIC, AUTH_SESSION };

struct auth_credentials {
    enum auth_kind kind;
    char *user;   /* BASIC: user name */
    char *secret; /* BEARER: token; BASIC: password; SESSION: cookie's value; wiped on fini */
};

/*
 * Reads, in this order: Authorization (Bearer or Basic), X-API-Key, Cookie gpustack_session. Each
 * argument is the header's value or the empty view. ERR_UNAUTHORIZED when the header that counts is
 * malformed; other cookies than ours are not looked at.
 */
int auth_credentials_read(struct str authorization, struct str x_api_key, struct str cookie,
                          struct auth_credentials *ret, struct err *err) must_check;
void auth_credentials_fini(struct auth_credentials *credentials);
