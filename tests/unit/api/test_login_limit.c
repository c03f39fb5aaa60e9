/* SPDX-License-Identifier: Apache-2.0 */
#include "api/login_limit.h"
#include "auth/auth.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void fail_times(struct login_limit *limit, const char *name, const char *address, int times,
                       int64_t now_ms)
{
    for (int i = 0; i < times; i++)
        login_limit_note(limit, name, address, false, now_ms);
}

static void test_some_failures_are_free(void **state)
{
    struct login_limit *limit = login_limit_new();
    for (int i = 0; i < LOGIN_FREE_FAILURES; i++) {
        assert_int_equal(login_limit_ask(limit, "admin", "10.0.0.1", 1000), 0);
        login_limit_note(limit, "admin", "10.0.0.1", false, 1000);
    }
    assert_int_equal(login_limit_ask(limit, "admin", "10.0.0.1", 1000), 1000);
    assert_int_equal(login_limit_ask(limit, "admin", "10.0.0.1", 1400), 600);
    assert_int_equal(login_limit_ask(limit, "admin", "10.0.0.1", 2000), 0);
    login_limit_free(limit);
}

static void test_waits_double_and_have_an_end(void **state)
{
    struct login_limit *limit = login_limit_new();
    int64_t now_ms = 5, before = 0;
    fail_times(limit, "admin", "a", LOGIN_FREE_FAILURES, now_ms);
    for (int i = 0; i < 40; i++) {
        int64_t wait_ms = login_limit_ask(limit, "admin", "a", now_ms);
        assert_true(wait_ms >= before && wait_ms <= LOGIN_WAIT_MAX_MS);
        before = wait_ms;
        now_ms += wait_ms;
        assert_int_equal(login_limit_ask(limit, "admin", "a", now_ms), 0);
        login_limit_note(limit, "admin", "a", false, now_ms);
    }
    assert_int_equal(before, LOGIN_WAIT_MAX_MS);
    login_limit_free(limit);
}

static void test_one_try_at_a_time_after_a_wait(void **state)
{
    struct login_limit *limit = login_limit_new();
    fail_times(limit, "admin", "a", LOGIN_FREE_FAILURES, 0);
    assert_int_equal(login_limit_ask(limit, "admin", "a", 1000), 0);
    assert_true(login_limit_ask(limit, "admin", "a", 1000) > 0);
    login_limit_free(limit);
}

static void test_others_are_not_held_up(void **state)
{
    struct login_limit *limit = login_limit_new();
    fail_times(limit, "admin", "a", 50, 0);
    assert_true(login_limit_ask(limit, "admin", "a", 0) > 0);
    assert_int_equal(login_limit_ask(limit, "admin", "b", 0), 0);
    assert_int_equal(login_limit_ask(limit, "grace", "a", 0), 0);
    login_limit_free(limit);
}

static void test_success_and_time_forget(void **state)
{
    struct login_limit *limit = login_limit_new();
    fail_times(limit, "admin", "a", 50, 0);
    login_limit_note(limit, "admin", "a", true, 0);
    assert_int_equal(login_limit_ask(limit, "admin", "a", 0), 0);
    fail_times(limit, "admin", "a", 50, 0);
    login_limit_note(limit, "grace", "a", false, LOGIN_FORGET_MS);
    assert_int_equal(login_limit_ask(limit, "admin", "a", 1), 0);
    login_limit_free(limit);
}

static void test_memory_is_bounded(void **state)
{
    struct login_limit *limit = login_limit_new();
    fail_times(limit, "first", "a", LOGIN_FREE_FAILURES, 0);
    for (int i = 0; i < LOGIN_PAIRS_MAX; i++) {
        auto_free char *name = mem_printf("user%d", i);
        login_limit_note(limit, name, "a", false, 1);
    }
    assert_int_equal(login_limit_ask(limit, "first", "a", 1), 0);
    fail_times(limit, "user4095", "a", LOGIN_FREE_FAILURES, 1);
    assert_true(login_limit_ask(limit, "user4095", "a", 1) > 0);
    login_limit_free(limit);
}

int main(void)
{
    auth_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_some_failures_are_free),
        cmocka_unit_test(test_waits_double_and_have_an_end),
        cmocka_unit_test(test_one_try_at_a_time_after_a_wait),
        cmocka_unit_test(test_others_are_not_held_up),
        cmocka_unit_test(test_success_and_time_forget),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
