/* SPDX-License-Identifier: Apache-2.0 */
/* URLs and the header Content-Range. */
#include "hub/content_range.h"
#include "hub/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path, *again;
        unsigned port;
        bool tls;
    } cases[] = {
        {"http://a", "a", "/", "http://a:80/", 80, false},
        {"https://A.b/x?y=1#z", "A.b", "/x?y=1", "https://A.b:443/x?y=1", 443, true},
        {"http://a:81?q", "a", "/?q", "http://a:81/?q", 81, false},
        {"http://[::1]:8/x%20y", "::1", "/x%20y", "http://[::1]:8/x%20y", 8, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(url_fini) struct url url = {0};
        assert_int_equal(url_parse(cases[i].text, &url, NULL), 0);
        auto_free char *text = url_text(&url);
        assert_string_equal(url.target.host, cases[i].host);
        assert_string_equal(url.path, cases[i].path);
        assert_string_equal(text, cases[i].again);
        assert_int_equal(url.target.port, cases[i].port);
        assert_int_equal(url.target.tls, cases[i].tls);
    }
}

static void test_bad_urls_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "a", "ftp://a/", "http://", "http:///x", "http://a b/",
                                        "http://a/\xc3\xa4", "http://a/\n", "http://u:p@a/",
                                        "http://a:0/", "unix:/run/x", "file:///etc/passwd"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url = {0};
        struct err err = {0};
        if (url_parse(cases[i], &url, &err) != ERR_INVALID || !*err.text)
            fail_msg("%s", cases[i]);
        url_fini(&url);
    }
}

static void test_credentials_are_not_shown(void **state)
{
    (void)state;
    static const char *const cases[] = {"https://user:secret@host/x", "https://secret@host",
                                        "http://host:secret@host:80/"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url = {0};
        struct err err = {0};
        if (url_parse(cases[i], &url, &err) != ERR_INVALID || strstr(err.text, "secret"))
            fail_msg("%s: %s", cases[i], err.text);
    }
}

static void test_locations_are_resolved(void **state)
{
    (void)state;
    static const struct {
        const char *location, *text;
    } cases[] = {
        {"http://b:8/y?z", "http://b:8/y?z"}, {"//b/y", "https://b:443/y"},
        {"/y?z", "https://a:443/y?z"},        {"y", "https://a:443/p/y"},
        {"?z", "https://a:443/p/?z"},
    };
    auto_fini(url_fini) struct url base = {0};
    assert_int_equal(url_parse("https://a/p/q?r=/s", &base, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(url_fini) struct url url = {0};
        assert_int_equal(url_resolve(&base, str_of(cases[i].location), &url, NULL), 0);
        auto_free char *text = url_text(&url);
        assert_string_equal(text, cases[i].text);
    }
    auto_free char *public = url_public_text(&base);
    assert_string_equal(public, "https://a:443/p/q");
}

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_same;
    } cases[] = {{"https://A/y", true},      {"https://a:443/", true}, {"http://a:443/", false},
                 {"https://a:444/", false}, {"https://b/", false},    {"https://a.b/", false}};
    auto_fini(url_fini) struct url base = {0};
    assert_int_equal(url_parse("https://a/x", &base, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(url_fini) struct url url = {0};
        assert_int_equal(url_parse(cases[i].text, &url, NULL), 0);
        assert_int_equal(url_is_same_origin(&base, &url), cases[i].is_same);
    }
}

static void test_paths_are_encoded(void **state)
{
    (void)state;
    auto_fini(buf_fini) struct buf out = {0};
    url_encode_path(&out, STR("a/b c?#%~\xc3\xa4.gguf"));
    assert_string_equal(out.ptr, "a/b%20c%3F%23%25~%C3%A4.gguf");
}

static void test_content_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"bytes 2-4/10", true},   {"bytes 0-0/1", true},  {"bytes 4-2/10", false},
        {"bytes 2-10/10", false}, {"bytes 2-4/*", false}, {"bytes */10", false},
        {"bytes 2-4", false},     {"2-4/10", false},      {"bytes -2-4/10", false},
        {"bytes 2-4/10x", false}, {"bytes  2-4/10", false},
        {"bytes 2-4/99999999999999999999", false},        {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct content_range range = {0};
        if (content_range_parse(str_of(cases[i].text), &range) != cases[i].is_good)
            fail_msg("%s", cases[i].text);
    }
    struct content_range range;
    assert_true(content_range_parse(STR("bytes 2-4/10"), &range));
    assert_int_equal(range.first, 2);
    assert_int_equal(range.last, 4);
    assert_int_equal(range.total, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_taken_apart),   cmocka_unit_test(test_bad_urls_are_refused),
        cmocka_unit_test(test_credentials_are_not_shown),
        cmocka_unit_test(test_locations_are_resolved), cmocka_unit_test(test_origins),
        cmocka_unit_test(test_paths_are_encoded),      cmocka_unit_test(test_content_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
