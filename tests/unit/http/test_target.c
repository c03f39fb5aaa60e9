/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_target_parse(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *unix_path;
        unsigned port;
        bool tls;
    } cases[] = {
        {"http://a.example", "a.example", "", 80, false},
        {"http://a.example/", "a.example", "", 80, false},
        {"HTTPS://a.example", "a.example", "", 443, true},
        {"https://10.0.0.1:8443/", "10.0.0.1", "", 8443, true},
        {"http://[::1]:81", "::1", "", 81, false},
        {"http://[fe80::1]", "fe80::1", "", 80, false},
        {"unix:/run/x.sock", "", "/run/x.sock", 80, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_target target;
        assert_int_equal(http_target_parse(cases[i].url, &target, NULL), 0);
        assert_string_equal(target.host, cases[i].host);
        assert_string_equal(target.unix_path, cases[i].unix_path);
        assert_int_equal(target.port, cases[i].port);
        assert_int_equal(target.tls, cases[i].tls);
    }
}

static void test_target_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a.example",
        "ftp://a",
        "http://",
        "http:///",
        "http://a:0",
        "http://a:65536",
        "http://a:",
        "http://a:x",
        "http://a/b",
        "http://a?b",
        "http://u@a",
        "http://[::1",
        "http://[::1]x",
        "http://[a]",
        "http://::1",
        "unix:relative",
        "http://a b",
        "unix:",
        "http://a:80:80",
        ("unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
         "01234567890123456789012345678901234567"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_target target;
        struct err err = {0};
        assert_int_equal(http_target_parse(bad[i], &target, &err), ERR_INVALID);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_parse),
        cmocka_unit_test(test_target_parse_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
