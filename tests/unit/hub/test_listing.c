/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of a repository's files as hubs send them. */
#include "hub/listing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_hugging_face(void **state)
{
    (void)state;
    auto_fini(listing_fini) struct listing listing = {0};
    assert_int_equal(
        listing_add_hugging_face(&listing,
                                 STR("[{\"type\":\"directory\",\"path\":\"a\",\"size\":0},"
                                     "{\"type\":\"file\",\"path\":\"b/c.gguf\",\"size\":7,"
                                     "\"lfs\":{\"size\":7}}]"),
                                 NULL),
        0);
    assert_int_equal(
        listing_add_hugging_face(
            &listing, STR("[{\"type\":\"file\",\"path\":\"a.json\",\"size\":2}]"), NULL),
        0);
    listing_sort(&listing);
    assert_int_equal(listing.count, 2);
    assert_string_equal(listing.files[0].name, "a.json");
    assert_string_equal(listing.files[1].name, "b/c.gguf");
    assert_int_equal(listing.files[1].bytes, 7);
}

static void test_modelscope(void **state)
{
    (void)state;
    auto_fini(listing_fini) struct listing listing = {0};
    assert_int_equal(
        listing_add_modelscope(
            &listing,
            STR("{\"Code\":200,\"Data\":{\"Files\":[{\"Type\":\"tree\",\"Path\":\"a\"},"
                "{\"Type\":\"blob\",\"Path\":\"b.gguf\",\"Size\":9}]}}"),
            NULL),
        0);
    assert_int_equal(listing.count, 1);
    assert_string_equal(listing.files[0].name, "b.gguf");
    assert_int_equal(listing.files[0].bytes, 9);
}

static void test_bad_lists_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",      "/a",  "a//b", "..",    "a/../b", "./a",
                                        "a/b/",  "a\\nb", "a\\u007f"};
    static const char *const others[] = {"", "{}", "[", "{\"Data\":{\"Files\":{}}}", "null"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_fini(listing_fini) struct listing listing = {0};
        struct err err = {0};
        auto_free char *json =
            mem_printf("[{\"type\":\"file\",\"path\":\"%s\",\"size\":1}]", names[i]);
        if (listing_add_hugging_face(&listing, str_of(json), &err) != ERR_SYNTAX)
            fail_msg("%s", names[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        auto_fini(listing_fini) struct listing listing = {0};
        assert_true(listing_add_hugging_face(&listing, str_of(others[i]), NULL) < 0);
        assert_true(listing_add_modelscope(&listing, str_of(others[i]), NULL) < 0);
    }
    auto_fini(listing_fini) struct listing listing = {0};
    assert_int_equal(
        listing_add_hugging_face(&listing, STR("[{\"type\":\"file\",\"path\":\"a\"}]"), NULL),
        ERR_SYNTAX);
    assert_int_equal(
        listing_add_hugging_face(
            &listing, STR("[{\"type\":\"file\",\"path\":\"a\",\"size\":-1}]"), NULL),
        ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hugging_face),
        cmocka_unit_test(test_modelscope),
        cmocka_unit_test(test_bad_lists_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
