/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_query_get(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name, *want;
    } rows[] = {
        {"", "a", NULL},
        {"a=1", "a", "1"},
        {"a=1&a=2", "a", "1"},
        {"ab=1&a=2", "a", "2"},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"&&a=x", "a", "x"},
        {"a=b=c", "a", "b=c"},
        {"a=x+y%20z%2B", "a", "x y z+"},
        {"%61=1", "a", "1"},
        {"a=%zz%4%00", "a", "%zz%4%00"},
        {"a=1", "b", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = http_query_get(str_of(rows[i].query), rows[i].name);
        if (rows[i].want)
            assert_string_equal(got, rows[i].want);
        else
            assert_null(got);
    }
}

static void test_percent_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},        {"a+b", "a+b"}, {"a%2Fb%c3%A4", "a/b\xc3\xa4"},
        {"%", NULL},     {"%4", NULL},   {"%4x", NULL},
        {"a%00b", NULL}, {"%%41", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *got = NULL;
        int rc = http_percent_decode(str_of(rows[i].text), &got, NULL);
        assert_int_equal(rc, rows[i].want ? 0 : ERR_SYNTAX);
        if (rows[i].want)
            assert_string_equal(got, rows[i].want);
        else
            assert_null(got);
    }
}

static void test_percent_encode(void **state)
{
    (void)state;
    auto_free char *got = http_percent_encode(STR("aZ09-._~/ %\xc3"));
    assert_string_equal(got, "aZ09-._~%2F%20%25%C3");
    auto_free char *none = http_percent_encode(STR(""));
    assert_string_equal(none, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_get),
        cmocka_unit_test(test_percent_decode),
        cmocka_unit_test(test_percent_encode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
