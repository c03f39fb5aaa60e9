/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* FIPS 180-4 and RFC 4231. */
static void test_digest_vectors(void **state)
{
    (void)state;
    char hex[AUTH_DIGEST_HEX];
    auth_digest(STR("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    auth_digest((struct str){0}, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_hmac_vectors(void **state)
{
    (void)state;
    char hex[AUTH_DIGEST_HEX], long_key[131];
    auth_hmac(STR("Jefe"), STR("what do ya want for nothing?"), hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 0xaa, sizeof long_key);
    auth_hmac(str_sub(long_key, sizeof long_key),
              STR("Test Using Larger Than Block-Size Key - Hash Key First"), hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_keys_round_trip(void **state)
{
    (void)state;
    struct auth_key made, read, other;
    auth_key_make(&made);
    auth_key_make(&other);
    struct auth_key renewed;
    assert_int_equal(auth_key_renew(made.access, &renewed), 0);
    assert_string_equal(renewed.access, made.access);
    assert_string_not_equal(renewed.secret, made.secret);
    assert_int_equal(auth_key_renew("0123456789abcdeX", &renewed), ERR_INVALID);
    assert_int_equal(auth_key_renew("", &renewed), ERR_INVALID);
    auto_free char *text = auth_key_format(&made);
    assert_int_equal(auth_key_parse(str_of(text), &read), 0);
    assert_string_equal(read.access, made.access);
    assert_string_equal(read.secret, made.secret);
    assert_string_not_equal(other.secret, made.secret);
}

static void test_bad_keys(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "gpustack_",
        "sk-0123456789abcdef_0123456789abcdef0123456789abcdef",
        "gpustack_0123456789abcdef_0123456789abcdef0123456789abcde",
        "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef0",
        "gpustack_0123456789abcdef-0123456789abcdef0123456789abcdef",
        "gpustack_0123456789ABCDEF_0123456789abcdef0123456789abcdef",
        "gpustack_0123456789abcdef_0123456789abcdef0123456789abcdeg",
        "Gpustack_0123456789abcdef_0123456789abcdef0123456789abcdef",
    };
    struct auth_key key;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(auth_key_parse(str_of(bad[i]), &key), -EINVAL);
}

/* A generated key is found by its access half, any other text by its own digest. */
static void test_lookups(void **state)
{
    (void)state;
    struct auth_key made;
    struct auth_lookup lookup;
    char digest[AUTH_DIGEST_HEX];
    auth_key_make(&made);
    auto_free char *text = auth_key_format(&made);
    auth_key_lookup(str_of(text), &lookup);
    auth_digest(str_of(made.secret), digest);
    assert_string_equal(lookup.access, made.access);
    assert_string_equal(lookup.digest, digest);
    auth_key_lookup(STR("a value of my own"), &lookup);
    auth_digest(STR("a value of my own"), digest);
    assert_string_equal(lookup.digest, digest);
    assert_int_equal(strlen(lookup.access), 16);
    assert_memory_equal(lookup.access, digest, 16);
}

static void test_chosen_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"0123456789abcdef", 0},
        {"~!@#$%^&*()-=_+[]{}", 0},
        {"0123456789abcde", ERR_INVALID},
        {"", ERR_INVALID},
        {"with a space in it", ERR_INVALID},
        {"with\ttab-in-the-middle", ERR_INVALID},
        {"umlaut-\xc3\xa4-is-no-ascii", ERR_INVALID},
        {"gpustack_0123456789", ERR_INVALID},
        {"gpustack_worker_1_0123", ERR_INVALID},
        {"GPUSTACK_0123456789", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {0};
        assert_int_equal(auth_custom_check(str_of(rows[i].text), &err), rows[i].want);
        assert_true(!*rows[i].text || !strstr(err.text, rows[i].text));
    }
    char longest[AUTH_CUSTOM_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(auth_custom_check(str_sub(longest, AUTH_CUSTOM_MAX), NULL), 0);
    assert_int_equal(auth_custom_check(str_sub(longest, sizeof longest), NULL), ERR_INVALID);
}

/* With more tokens than the cache has room for, all are told right, again and again. */
static void test_cached_lookups(void **state)
{
    struct auth_cache *cache = auth_cache_new();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++) {
            char token[32];
            struct auth_lookup cached, fresh;
            int len = snprintf(token, sizeof token, "a-key-of-a-user-%d", i);
            for (int again = 0; again < 2; again++) {
                auth_cache_lookup(cache, str_sub(token, (size_t)len), &cached);
                auth_key_lookup(str_sub(token, (size_t)len), &fresh);
                assert_string_equal(cached.access, fresh.access);
                assert_string_equal(cached.digest, fresh.digest);
            }
        }
    auth_cache_free(cache);
    auth_cache_free(NULL);
}

int main(void)
{
    auth_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_vectors),
        cmocka_unit_test(test_hmac_vectors),
        cmocka_unit_test(test_keys_round_trip),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_cached_lookups),
        cmocka_unit_test(test_chosen_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
