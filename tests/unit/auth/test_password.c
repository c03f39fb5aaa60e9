/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

static void test_right_password_only(void **state)
{
    (void)state;
    auto_free char *hash = auth_password_hash(STR("Secret-1_"));
    assert_true(str_has_prefix(str_of(hash), STR("$argon2id$v=19$m=65536,t=2,p=1$")));
    assert_true(auth_password_verify(hash, STR("Secret-1_")));
    assert_false(auth_password_verify(hash, STR("Secret-1")));
    assert_false(auth_password_verify(hash, STR("")));
    assert_false(auth_password_verify("", STR("Secret-1_")));
    assert_false(auth_password_verify("$argon2id$broken", STR("Secret-1_")));
}

static void test_too_long_is_never_right(void **state)
{
    (void)state;
    char text[AUTH_PASSWORD_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_null(auth_password_hash(str_sub(text, sizeof text)));
    auto_free char *hash = auth_password_hash(str_sub(text, AUTH_PASSWORD_MAX));
    assert_true(auth_password_verify(hash, str_sub(text, AUTH_PASSWORD_MAX)));
    assert_false(auth_password_verify(hash, str_sub(text, sizeof text)));
}

/* Peak memory in KiB of a child process that checks a password (or, without one, does nothing). */
static long child_peak_kib(const char *hash, const char *password)
{
    pid_t pid = fork();
    if (pid == 0) {
        bool right = password && auth_password_verify(hash, str_of(password));
        _exit(right ? 1 : 0);
    }
    int status;
    struct rusage usage;
    assert_int_equal(wait4(pid, &status, 0, &usage), pid);
    assert_int_equal(status, 0);
    return usage.ru_maxrss;
}

/* Work can be told by the 64 MiB that Argon2id fills, without looking at a clock. */
static void test_unknown_user_costs_a_hash(void **state)
{
    (void)state;
    enum { ENOUGH_KIB = 56 << 10 };
    long idle = child_peak_kib(NULL, NULL);
    assert_true(child_peak_kib(NULL, "Secret-1_") - idle > ENOUGH_KIB);
}

static void test_policy(void **state)
{
    (void)state;
    static const struct {
        const char *password;
        int rc;
    } rows[] = {
        {"Abcdef1!", 0},           {"Abcdefghij1+", 0},       {"Abcde1!", ERR_INVALID},
        {"abcdef1!", ERR_INVALID}, {"ABCDEF1!", ERR_INVALID}, {"Abcdefg!", ERR_INVALID},
        {"Abcdefg1", ERR_INVALID}, {"", ERR_INVALID},         {"Abcdef1-", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(auth_password_check(str_of(rows[i].password), NULL), rows[i].rc);
}

static void test_made_passwords_pass(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        auto_free char *password = auth_password_make();
        assert_int_equal(strlen(password), 12);
        assert_int_equal(auth_password_check(str_of(password), NULL), 0);
    }
}

int main(void)
{
    auth_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_password_only),
        cmocka_unit_test(test_too_long_is_never_right),
        cmocka_unit_test(test_unknown_user_costs_a_hash),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_made_passwords_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
