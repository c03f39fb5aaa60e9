/* SPDX-License-Identifier: Apache-2.0 */
/* How much the reader of GGUF files takes of them, and where it stops. */
#include "weights/gguf.h"

#include "../../lib/weights/gguf_writer.h"
#include "../../lib/weights/memory_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_arrays_of_numbers_are_not_read(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_begin("llama");
    const size_t numbers = 32 << 20;
    struct buf *out = gguf_array(&w, "tokenizer.ggml.others", GGUF_FLOAT32, numbers / 4);
    memset(buf_reserve(out, numbers), 0, numbers);
    buf_grew(out, numbers);
    gguf_u32(&w, "llama.block_count", 2);
    auto_fini(buf_fini) struct buf file = gguf_writer_end(&w);
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source memory;
    memory_source_init(&memory);
    memory_source_add(&memory, "m.gguf", buf_str(&file));
    memory.base.is_local = true;
    assert_int_equal(gguf_read(&memory.base, memory.base.files, &shape, NULL), 0);
    assert_int_equal(shape.layer_count, 2);
    assert_in_range(memory.base.read_bytes, 1, 256 << 10);
    memory_source_fini(&memory);
}

/* The vocabulary lies behind the name, and is read once. */
static void test_keys_before_the_architecture_cost_no_requests(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct memory_source memory;
    gguf_u32(&w, "bert.block_count", 7);
    gguf_string(&w, "general.architecture", "bert");
    struct buf *out = gguf_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 100000);
    for (int i = 0; i < 100000; i++)
        gguf_text(&w, out, STR("token"));
    auto_fini(buf_fini) struct buf file = gguf_writer_end(&w);
    memory_source_init(&memory);
    memory_source_add(&memory, "m.gguf", buf_str(&file));
    assert_int_equal(gguf_read(&memory.base, memory.base.files, &shape, NULL), 0);
    assert_int_equal(shape.layer_count, 7);
    assert_int_equal(shape.vocabulary_size, 100000);
    assert_in_range(memory.base.read_bytes, 1, file.len);
    memory_source_fini(&memory);
}

static void test_headers_have_a_limit(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    gguf_array(&w, "x", GGUF_UINT8, GGUF_HEADER_MAX);
    auto_fini(buf_fini) struct buf start = gguf_writer_header(&w);
    struct memory_source memory;
    struct model_shape shape;
    struct err err = {0};
    memory_source_init(&memory);
    memory_source_add(&memory, "m.gguf", buf_str(&start));
    memory.files[0].bytes = GGUF_HEADER_MAX + (64u << 20);
    assert_int_equal(gguf_read(&memory.base, memory.base.files, &shape, &err), ERR_TOO_LARGE);
    assert_string_equal(err.text, "m.gguf: has a header of more than 268435456 bytes");
    memory_source_fini(&memory);
}

/* Counts that would fit into the file, but are above what is read. */
static void test_counts_have_limits(void **state)
{
    (void)state;
    static const struct {
        uint64_t entries, tensors, items;
        const char *text;
    } cases[] = {
        {GGUF_KEYS_MAX + 1, 0, 0, "m.gguf: has 65537 metadata entries, at most 65536 are read"},
        {0, GGUF_TENSORS_MAX + 1, 0, "m.gguf: has 1048577 tensors, at most 1048576 are read"},
        {1, 0, UINT64_C(1) + GGUF_ITEMS_MAX,
         "m.gguf: key x has 1073741825 items, at most 1073741824"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gguf_writer w = gguf_writer_empty();
        struct memory_source memory;
        struct model_shape shape;
        struct err err = {0};
        gguf_array(&w, "x", GGUF_UINT8, cases[i].items);
        w.entry_count = cases[i].entries;
        w.tensor_count = cases[i].tensors;
        auto_fini(buf_fini) struct buf start = gguf_writer_header(&w);
        memory_source_init(&memory);
        memory_source_add(&memory, "m.gguf", buf_str(&start));
        memory.files[0].bytes = UINT64_C(1) << 40;
        assert_int_equal(gguf_read(&memory.base, memory.base.files, &shape, &err), ERR_TOO_LARGE);
        assert_string_equal(err.text, cases[i].text);
        memory_source_fini(&memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays_of_numbers_are_not_read),
        cmocka_unit_test(test_keys_before_the_architecture_cost_no_requests),
        cmocka_unit_test(test_headers_have_a_limit),
        cmocka_unit_test(test_counts_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
