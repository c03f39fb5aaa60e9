/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BAD ERR_UNAUTHORIZED

static const struct {
    const char *authorization, *x_api_key, *cookie;
    int rc;
    enum auth_kind kind;
    const char *user, *secret;
} rows[] = {
    {"", "", "", 0, AUTH_NONE, NULL, NULL},
    {"Bearer abc", "", "", 0, AUTH_BEARER, NULL, "abc"},
    {"bearer   abc ", "", "", 0, AUTH_BEARER, NULL, "abc"},
    {"Bearer abc", "key", "gpustack_session=s", 0, AUTH_BEARER, NULL, "abc"},
    {"", "key", "gpustack_session=s", 0, AUTH_BEARER, NULL, "key"},
    {"", "", "gpustack_session=s", 0, AUTH_SESSION, NULL, "s"},
    {"", "", "a=b; gpustack_session=s; c=d", 0, AUTH_SESSION, NULL, "s"},
    {"", "", "a=\"x y\";;=;gpustack_session=s=t", 0, AUTH_SESSION, NULL, "s=t"},
    {"", "", "xgpustack_session=s; gpustack_session", 0, AUTH_NONE, NULL, NULL},
    {"", "", "gpustack_session=", 0, AUTH_NONE, NULL, NULL},
    {"Basic YWRtaW46UGFzczoxIQ==", "", "", 0, AUTH_BASIC, "admin", "Pass:1!"},
    {"Basic YWRtaW46", "", "", 0, AUTH_BASIC, "admin", ""},
    /* malformed: the header that counts isn't skipped in favour of a later one */
    {"Bearer", "key", "", BAD, AUTH_NONE, NULL, NULL},
    {"Bearer a b", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"Bearer \xc3\xa4", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"Digest abc", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"abc", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"Basic", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"Basic YWRtaW4=", "", "", BAD, AUTH_NONE, NULL, NULL},       /* admin */
    {"Basic OnBhc3M=", "", "", BAD, AUTH_NONE, NULL, NULL},       /* :pass */
    {"Basic YWRtaW46UGFzcw", "", "", BAD, AUTH_NONE, NULL, NULL}, /* no padding */
    {"Basic YWRt*W46", "", "", BAD, AUTH_NONE, NULL, NULL},
    {"Basic YTpiAGM=", "", "", BAD, AUTH_NONE, NULL, NULL}, /* a:b\0c */
    {"Basic YTr/", "", "", BAD, AUTH_NONE, NULL, NULL},     /* a:\xff */
    {"", "two words", "", BAD, AUTH_NONE, NULL, NULL},
    {"", "", "gpustack_session=a b", BAD, AUTH_NONE, NULL, NULL},
};

static void assert_same_text(const char *a, const char *b)
{
    if (b)
        assert_string_equal(a, b);
    else
        assert_null(a);
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct auth_credentials found = {0};
        struct err err = {0};
        int rc = auth_credentials_read(str_of(rows[i].authorization), str_of(rows[i].x_api_key),
                                       str_of(rows[i].cookie), &found, &err);
        if (rc != rows[i].rc)
            print_message("row %zu: %s\n", i, err.text);
        assert_int_equal(rc, rows[i].rc);
        assert_int_equal(found.kind, rows[i].kind);
        assert_same_text(found.user, rows[i].user);
        assert_same_text(found.secret, rows[i].secret);
        assert_true(rc == 0 || err.text[0]);
        auth_credentials_fini(&found);
    }
}

static void test_long_tokens(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'a', sizeof text);
    struct auth_credentials found = {0};
    memcpy(text, "Bearer ", 7);
    assert_int_equal(auth_credentials_read(str_sub(text, sizeof text), (struct str){0},
                                           (struct str){0}, &found, NULL),
                     BAD);
    memcpy(text, "Basic  ", 7);
    assert_int_equal(auth_credentials_read(str_sub(text, sizeof text), (struct str){0},
                                           (struct str){0}, &found, NULL),
                     BAD);
}

int main(void)
{
    auth_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_long_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
