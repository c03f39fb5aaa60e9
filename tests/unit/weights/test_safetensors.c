/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers are written from a list of tensors and read back. Each bad one differs from a good one in
 * a single thing, and the error is compared, so that the one that is seen is the one that is meant.
 */
#include "weights/safetensors.h"

#include "memory_source.h"
#include "weights/json_view.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* --- writing ------------------------------------------------------------------------------- */

static void put_length(struct buf *out, uint64_t length)
{
    for (int i = 0; i < 8; i++)
        buf_add_char(out, (char)(length >> (8 * i)));
}

/* A file of this header ('for ") and so many bytes of data. */
static struct memory_source *file_of(const char *header, uint64_t data_bytes)
{
    struct memory_source *files = memory_source_new(true);
    struct buf content = {0};
    put_length(&content, strlen(header));
    for (const char *c = header; *c; c++)
        buf_add_char(&content, *c == '\'' ? '"' : *c);
    memory_source_add(files, "m.safetensors", &content, 8 + strlen(header) + data_bytes);
    return files;
}

static int read_file(struct memory_source *files, struct safetensors *ret, struct err *err)
{
    const int rc =
        safetensors_read(&files->base, files->base.files, SAFETENSORS_HEADER_MAX, ret, err);
    source_free(&files->base);
    return rc;
}

/* --- good ones ----------------------------------------------------------------------------- */

static void test_reads_each_type(void **state)
{
    static const struct {
        const char *name;
        unsigned bits;
    } types[] = {{"BOOL", 8},    {"U8", 8},      {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
                 {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16}, {"F16", 16},    {"BF16", 16},
                 {"I32", 32},    {"U32", 32},    {"F32", 32}, {"I64", 64},    {"U64", 64},
                 {"F64", 64},    {"C64", 64},    {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        auto_fini(safetensors_fini) struct safetensors header = {0};
        struct err err = {0};
        const unsigned bytes = 4 * 6 * types[i].bits / 8;
        auto_free char *text =
            mem_printf("{'__metadata__': {'format': 'pt'}, 'a.weight': {'dtype': '%s', "
                       "'shape': [4, 6], 'data_offsets': [0, %u]}}   ",
                       types[i].name, bytes);
        if (read_file(file_of(text, bytes), &header, &err) < 0)
            fail_msg("%s: %s", types[i].name, err.text);
        assert_int_equal(header.tensor_count, 1);
        assert_int_equal(header.tensors[0].elements, 24);
        assert_int_equal(header.tensors[0].bytes, bytes);
        assert_int_equal(safetensors_type_bits(header.tensors[0].type), types[i].bits);
        assert_true(str_eq(header.tensors[0].name, STR("a.weight")));
        assert_false(header.has_unknown_types);
    }
}

static void test_sorts_by_range_and_takes_empty_and_unknown_ones(void **state)
{
    auto_fini(safetensors_fini) struct safetensors header = {0};
    struct err err = {0};
    (void)state;
    assert_int_equal(read_file(file_of("{'b': {'dtype': 'F99', 'shape': [3], "
                                       "'data_offsets': [4, 7]}, 'empty': {'dtype': 'U8', "
                                       "'shape': [0, 9], 'data_offsets': [4, 4]}, 'a': {"
                                       "'dtype': 'F32', 'shape': [], 'data_offsets': [0, 4]}}",
                                       7),
                               &header, &err),
                     0);
    assert_int_equal(header.tensor_count, 3);
    assert_true(str_eq(header.tensors[0].name, STR("a")));
    assert_true(str_eq(header.tensors[2].name, STR("b")));
    assert_int_equal(header.tensors[2].bytes, 3);
    assert_true(header.has_unknown_types);
}

/* --- bad ones ------------------------------------------------------------------------------ */

static void test_refuses_bad_headers(void **state)
{
    static const struct {
        const char *header;
        uint64_t data_bytes;
        int code;
        const char *text;
    } cases[] = {
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]}", 4, ERR_SYNTAX,
         "is not JSON"},
        {"[1, 2, 3, 4, 5, 6, 7, 8]", 0, ERR_SYNTAX, "is no object"},
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]}}", 5, ERR_SYNTAX,
         "the tensors end at 4, the file has 5"},
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]}}", 3, ERR_SYNTAX,
         "lies at 0 to 4, the file has 3"},
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [4, 0]}}", 4, ERR_SYNTAX,
         "lies at 4 to 0"},
        {"{'a': {'dtype': 'U8', 'shape': [2], 'data_offsets': [0, 2]}, "
         "'b': {'dtype': 'U8', 'shape': [2], 'data_offsets': [3, 5]}}",
         5, ERR_SYNTAX, "b begins at 3, behind a hole from 2"},
        {"{'a': {'dtype': 'U8', 'shape': [3], 'data_offsets': [0, 3]}, "
         "'b': {'dtype': 'U8', 'shape': [3], 'data_offsets': [2, 5]}}",
         5, ERR_SYNTAX, "b begins at 2, inside of another that ends at 3"},
        {"{'a': {'dtype': 'U8', 'shape': [3], 'data_offsets': [0, 3]}, "
         "'a': {'dtype': 'U8', 'shape': [3], 'data_offsets': [3, 6]}}",
         6, ERR_SYNTAX, "a stands twice"},
        {"{'a': {'dtype': 'BF16', 'shape': [3], 'data_offsets': [0, 5]}}", 5, ERR_SYNTAX,
         "has 5 bytes for 3 elements of BF16"},
        {"{'a': {'dtype': 'F4', 'shape': [3], 'data_offsets': [0, 2]}}", 2, ERR_SYNTAX,
         "has 2 bytes for 3 elements of F4"},
        {"{'a': {'dtype': 'U8', 'shape': [4294967296, 4294967296], 'data_offsets': [0, 1]}}", 1,
         ERR_TOO_LARGE, "more than 2^63 elements"},
        {"{'a': {'dtype': 'U8', 'shape': [-1], 'data_offsets': [0, 1]}}", 1, ERR_SYNTAX,
         "has the dimension -1"},
        {"{'a': {'dtype': 'U8', 'shape': [1.5], 'data_offsets': [0, 1]}}", 1, ERR_SYNTAX,
         "has the dimension 1.5"},
        {"{'a': {'dtype': 'U8', 'shape': 4, 'data_offsets': [0, 4]}}", 4, ERR_SYNTAX,
         "has no shape"},
        {"{'a': {'dtype': 'U8', 'shape': [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1], "
         "'data_offsets': [0, 1]}}",
         1, ERR_TOO_LARGE, "has 17 dimensions, at most 16"},
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [0]}}", 4, ERR_SYNTAX,
         "data_offsets that aren't two numbers"},
        {"{'a': {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4, 8]}}", 4, ERR_SYNTAX,
         "data_offsets that aren't two numbers"},
        {"{'a': {'dtype': 8, 'shape': [4], 'data_offsets': [0, 4]}}", 4, ERR_SYNTAX,
         "has no dtype"},
        {"{'a': 1}", 0, ERR_SYNTAX, "has no dtype"},
        {"{'a':1,'b':1,'c':1,'d':1,'e':1,'f':1}", 0, ERR_SYNTAX, "members that are no tensors"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(safetensors_fini) struct safetensors header = {0};
        struct err err = {0};
        const int rc =
            read_file(file_of(cases[i].header, cases[i].data_bytes), &header, &err);
        if (rc != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%s: %d \"%s\", not \"%s\"", cases[i].header, rc, err.text, cases[i].text);
        assert_memory_equal(err.text, "m.safetensors: ", 15);
    }
}

static void test_refuses_lengths(void **state)
{
    static const struct {
        uint64_t length, file_bytes;
        int code;
    } cases[] = {{UINT64_MAX, 100, ERR_SYNTAX},
                 {93, 100, ERR_SYNTAX},
                 {SAFETENSORS_HEADER_MAX + 1ull, 1ull << 40, ERR_TOO_LARGE},
                 {50, 100, ERR_SYNTAX}, /* the source ends earlier than its size says */
                 {0, 8, ERR_SYNTAX}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_fini(safetensors_fini) struct safetensors header = {0};
        struct memory_source *files = memory_source_new(true);
        struct buf content = {0};
        struct err err = {0};
        put_length(&content, cases[i].length);
        memory_source_add(files, "m.safetensors", &content, cases[i].file_bytes);
        assert_int_equal(read_file(files, &header, &err), cases[i].code);
    }
}

static void test_views_of_json(void **state)
{
    static const char *const bad[] = {"", "{", "[1,]", "{'a'}", "{'a':}", "[1 2]", "01", "1.",
                                      "1e", "nul", "'\\x'", "'\\u12g4'", "'a", "[1]]", "{1:2}",
                                      "\"\x01\"", "\"\xff\"", "-", "{'a':1,}", "+1"};
    static const char *const good[] = {"0", " [] ", "{}", "[NaN, -Infinity, null]", "-1.5e+9",
                                       "{'a': [{'b': {}}, 'x\\\\', \"\\u00e4\"], 'c': true}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad) + ARRAY_LEN(good); i++) {
        const char *source = i < ARRAY_LEN(bad) ? bad[i] : good[i - ARRAY_LEN(bad)];
        auto_free char *text = mem_strdup(source);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        struct str root;
        struct err err = {0};
        const int rc = json_view_check(str_of(text), &root, &err);
        if (rc != (i < ARRAY_LEN(bad) ? ERR_SYNTAX : 0))
            fail_msg("%s: %d %s", source, rc, err.text);
    }
    auto_free char *deep = mem_alloc(2 * (JSON_VIEW_DEPTH_MAX + 1) + 1);
    struct str root;
    memset(deep, '[', JSON_VIEW_DEPTH_MAX + 1);
    memset(deep + JSON_VIEW_DEPTH_MAX + 1, ']', JSON_VIEW_DEPTH_MAX + 1);
    assert_int_equal(json_view_check(str_of(deep), &root, NULL), ERR_SYNTAX);
    const size_t inner = 2 * JSON_VIEW_DEPTH_MAX;
    assert_int_equal(json_view_check(str_sub(deep + 1, inner), &root, NULL), 0);
}

static void test_numbers_of_json(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t value;
    } cases[] = {{"18446744073709551615", 0, UINT64_MAX},
                 {"18446744073709551616", -ERANGE, 0},
                 {"4096.0", 0, 4096},
                 {"1e3", 0, 1000},
                 {"-1", -ERANGE, 0},
                 {"1e30", -ERANGE, 0},
                 {"NaN", -EINVAL, 0},
                 {"0.5", -EINVAL, 0},
                 {"true", -EINVAL, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 0;
        assert_int_equal(json_view_integer(str_of(cases[i].text), &value), cases[i].rc);
        if (cases[i].rc == 0)
            assert_int_equal(value, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_each_type),
        cmocka_unit_test(test_sorts_by_range_and_takes_empty_and_unknown_ones),
        cmocka_unit_test(test_refuses_bad_headers),
        cmocka_unit_test(test_refuses_lengths),
        cmocka_unit_test(test_views_of_json),
        cmocka_unit_test(test_numbers_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
