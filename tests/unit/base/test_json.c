/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_writer_makes_compact_json(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_object(&w);
    json_put_string(&w, "a", "x\"\n\x01");
    json_put_int(&w, "b", -5);
    json_add_key(&w, "c");
    json_begin_array(&w);
    json_add_bool(&w, true);
    json_add_null(&w);
    json_add_double(&w, 0.5);
    json_end_array(&w);
    json_add_key(&w, "d");
    json_begin_object(&w);
    json_end_object(&w);
    json_end_object(&w);
    assert_string_equal(out.ptr,
                        "{\"a\":\"x\\\"\\n\\u0001\",\"b\":-5,\"c\":[true,null,0.5],\"d\":{}}");
    buf_fini(&out);
}

static void test_writer_replaces_invalid_utf8(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_add_string(&w, STR("a\xff\xc3\xa4"));
    assert_string_equal(out.ptr, "\"a\xef\xbf\xbd\xc3\xa4\"");
    buf_fini(&out);
}

static void test_reader_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "[1] x", "\"\xff\"", "{'a':1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *root = NULL;
        struct err err = {0};
        assert_int_equal(json_read(str_of(bad[i]), &root, &err), ERR_SYNTAX);
        assert_null(root);
        assert_non_null(strstr(err.text, "line"));
    }
}

static void test_reader_takes_objects(void **state)
{
    (void)state;
    auto_fini(json_release) json_t *root = NULL;
    struct err err = {0};
    assert_int_equal(json_read(STR("{\"name\":\"x\",\"n\":7}"), &root, &err), 0);
    assert_string_equal(json_member_string(root, "name"), "x");
    assert_int_equal(json_member_int(root, "n", 0), 7);
    assert_int_equal(json_member_int(root, "name", 3), 3);
    assert_null(json_member_string(root, "n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_makes_compact_json),
        cmocka_unit_test(test_writer_replaces_invalid_utf8),
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_reader_takes_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
