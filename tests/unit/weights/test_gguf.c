/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GGUF format: files are built from parts in memory and read back. Each bad file differs from a
 * good one in a single part, so that the error that is seen is the one that is meant.
 */
#include "weights/gguf.h"

#include "../../lib/weights/gguf_writer.h"
#include "../../lib/weights/memory_source.h"
#include "round_trip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Reads files that are named in order; takes them. */
static int read_files(struct buf *files, const char *const *names, size_t count,
                      struct model_shape *ret, struct err *err)
{
    struct memory_source memory;
    memory_source_init(&memory);
    for (size_t i = 0; i < count; i++)
        memory_source_add(&memory, names[i], buf_str(&files[i]));
    const int rc = gguf_read(&memory.base, memory.base.files, ret, err);
    if (rc == 0)
        check_round_trip(ret);
    memory_source_fini(&memory);
    for (size_t i = 0; i < count; i++)
        buf_fini(&files[i]);
    return rc;
}

static int read_back(struct gguf_writer *w, struct model_shape *ret, struct err *err)
{
    struct buf file = gguf_writer_end(w);
    return read_files(&file, (const char *const[]){"m.gguf"}, 1, ret, err);
}

/* What every case begins with. */
static void put_good(struct gguf_writer *w)
{
    gguf_string(w, "general.architecture", "llama");
    gguf_string(w, "general.name", "a model");
    gguf_u32(w, "general.file_type", 15);
    if (w->alignment != GGUF_ALIGNMENT_DEFAULT)
        gguf_u32(w, "general.alignment", w->alignment);
    gguf_u32(w, "llama.block_count", 2);
    gguf_value(w, "llama.context_length", GGUF_UINT64, 131072);
    gguf_value(w, "llama.embedding_length", GGUF_UINT16, 64);
    gguf_value(w, "llama.feed_forward_length", GGUF_INT64, 128);
    gguf_value(w, "llama.attention.head_count", GGUF_INT8, 8);
    gguf_numbers(w, "llama.attention.head_count_kv", GGUF_INT32, (const unsigned[]){4, 2}, 2);
    struct buf *out = gguf_array(w, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    gguf_text(w, out, STR("a"));
    gguf_text(w, out, STR(""));
    gguf_text(w, out, STR("ccc"));
    gguf_numbers(w, "tokenizer.ggml.scores", GGUF_FLOAT32, (const unsigned[]){0}, 1);
    gguf_string(w, "tokenizer.chat_template", "{{ x }}");
    gguf_string(w, "unknown.key", "passed over");
    gguf_tensor(w, "token_embd.weight", 1, 64, 3);               /* F16: 384 */
    gguf_tensor(w, "blk.0.attn_q.weight", 12, 256, 2);           /* Q4_K: 288 */
    gguf_tensor(w, "blk.1.ffn_gate_exps.weight", 0, 3, 1);       /* F32: 12 */
    gguf_tensor(w, "blk.1.attn_norm.weight", 0, 1, 1);           /* 4 */
    gguf_tensor(w, "output.weight", 8, 64, 3);                   /* Q8_0: 204 */
    gguf_tensor(w, "rope_freqs.weight", 0, 5, 1);                /* 20 */
}

static void assert_good(const struct model_shape *shape)
{
    assert_int_equal(shape->format, FORMAT_GGUF);
    assert_int_equal(shape->kind, KIND_LLM);
    assert_string_equal(shape->architecture, "llama");
    assert_string_equal(shape->name, "a model");
    assert_string_equal(shape->quantization, "Q4_K_M");
    assert_int_equal(shape->layer_count, 2);
    assert_int_equal(shape->context_length, 131072);
    assert_int_equal(shape->hidden_size, 64);
    assert_int_equal(shape->vocabulary_size, 3);
    assert_int_equal(shape->tensor_bytes, 384 + 288 + 12 + 4 + 204 + 20);
    assert_int_equal(shape->parameter_count, 192 + 512 + 3 + 1 + 192 + 5);
    assert_int_equal(shape->input_bytes, 384);
    assert_int_equal(shape->output_bytes, 204);
    assert_int_equal(shape->other_bytes, 20);
    assert_int_equal(shape->layers[0].bytes, 288);
    assert_int_equal(shape->layers[1].bytes, 16);
    assert_int_equal(shape->layers[1].expert_bytes, 12);
    assert_true(shape->layers[1].is_moe);
    assert_int_equal(shape->layers[0].head_count_kv, 4);
    assert_int_equal(shape->layers[1].head_count_kv, 2);
    assert_int_equal(shape->layers[1].feed_forward_length, 128);
    assert_int_equal(model_shape_head_count(shape), 8);
    assert_int_equal(model_shape_head_count_kv(shape), 4);
    assert_int_equal(model_shape_feed_forward_length(shape), 128);
    assert_true(shape->has_chat_template);
    assert_true(shape->is_causal);
    assert_false(shape->is_tied);
    assert_false(shape->has_unknown_types);
}

/* ---- good files ---- */

static void test_versions_byte_orders_and_alignments(void **state)
{
    (void)state;
    static const char *const magics[] = {"GGUF", "GGUF", "FUGG"};
    for (uint32_t version = 2; version <= 3; version++)
        for (int order = 0; order < 3; order++)
            for (uint32_t alignment = 8; alignment <= 4096; alignment *= 4) {
                struct gguf_writer w = gguf_writer_empty();
                auto_fini(model_shape_fini) struct model_shape shape = {0};
                struct err err = {0};
                w.version = version;
                w.is_big_endian = order > 0;
                w.magic = magics[order];
                w.alignment = alignment;
                put_good(&w);
                if (read_back(&w, &shape, &err) < 0)
                    fail_msg("version %u, order %d, alignment %u: %s", version, order, alignment,
                             err.text);
                assert_good(&shape);
                assert_int_equal(shape.is_big_endian, order > 0);
            }
}

static void test_every_value_type_is_passed_over(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    char key[32];
    for (uint32_t type = GGUF_UINT8; type <= GGUF_FLOAT64; type++) {
        snprintf(key, sizeof key, "x.one_%u", type);
        if (type == GGUF_STRING)
            gguf_string(&w, key, "text");
        else if (type != GGUF_ARRAY)
            gguf_value(&w, key, type, 1);
        if (type == GGUF_ARRAY)
            continue;
        snprintf(key, sizeof key, "x.many_%u", type);
        struct buf *out = gguf_array(&w, key, type, 3);
        for (int i = 0; i < 3; i++)
            if (type == GGUF_STRING)
                gguf_text(&w, out, STR("item"));
            else
                gguf_number(&w, out, 1, gguf_value_size(type));
    }
    put_good(&w);
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_good(&shape);
}

static void test_every_tensor_type_has_its_bytes(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < GGUF_TENSOR_TYPE_END; type++) {
        if (!gguf_tensor_type(type))
            continue;
        struct gguf_writer w = gguf_writer_begin("llama");
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        gguf_u32(&w, "llama.block_count", 1);
        const uint64_t bytes = gguf_tensor(&w, "blk.0.x", type, 512, 3);
        gguf_tensor(&w, "blk.0.y", 0, 7, 1);
        assert_int_equal(read_back(&w, &shape, &err), 0);
        assert_int_equal(shape.layers[0].bytes, bytes + 28);
        assert_int_equal(shape.parameter_count, 512 * 3 + 7);
        assert_string_equal(shape.quantization, gguf_tensor_type(type)->name);
    }
}

static void test_dimensions_0_to_4(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_begin("llama");
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    const uint64_t dims[] = {2, 3, 1, 5};
    char name[] = "t0";
    for (uint32_t n = 0; n <= 4; n++, name[1]++)
        gguf_tensor_at(&w, name, 0, dims, n, n == 0 ? 0 : 32 * n);
    w.data_bytes = 128 + 120;
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_int_equal(shape.tensor_bytes, 4 + 8 + 24 + 24 + 120);
    assert_int_equal(shape.kind, KIND_UNKNOWN);
}

static void test_keys_may_come_before_the_architecture(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    w.version = 2;
    gguf_u32(&w, "gemma.block_count", 7);
    gguf_string(&w, "general.architecture", "gemma");
    gguf_u32(&w, "gemmalike.context_length", 5);
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_int_equal(shape.layer_count, 7);
    assert_int_equal(shape.context_length, 0);
    assert_string_equal(shape.quantization, "");
}

static void test_stated_vocabulary_size_wins(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct gguf_writer w = gguf_writer_begin("llama");
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        if (first)
            gguf_u32(&w, "llama.vocab_size", 32000);
        gguf_text(&w, gguf_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1), STR("a"));
        if (!first)
            gguf_u32(&w, "llama.vocab_size", 32000);
        assert_int_equal(read_back(&w, &shape, &err), 0);
        assert_int_equal(shape.vocabulary_size, 32000);
    }
}

static void test_unknown_tensor_types_end_where_the_next_tensor_begins(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    put_good(&w);
    gguf_tensor(&w, "blk.0.new.weight", 4711, 50, 1);
    gguf_tensor(&w, "blk.1.newer.weight", 43, 10, 1);
    const uint64_t before = 384 + 288 + 12 + 4 + 204 + 20;
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_true(shape.has_unknown_types);
    assert_int_equal(shape.tensor_bytes, before + 64 + 10);
    assert_int_equal(shape.layers[0].bytes, 288 + 64);
    assert_int_equal(shape.layers[1].bytes, 16 + 10);
}

static void test_long_names_are_cut_at_a_character(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    char name[301];
    for (int i = 0; i < 300; i += 2)
        memcpy(name + i, "\xc3\xa4", 2); /* 255 bytes would end inside of one */
    name[300] = '\0';
    gguf_string(&w, "general.name", name);
    gguf_string(&w, "general.architecture", "llama\xff");
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_int_equal(strlen(shape.name), 254);
    assert_string_equal(shape.architecture, "llama");
}

static void test_names_have_no_control_characters(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_begin("llama");
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    gguf_string(&w, "general.name", "\x1b]0;title\a \xc3\xa9 \xc2\x9b" "2J \x7f \xc2\xa9\n");
    assert_int_equal(read_back(&w, &shape, &err), 0);
    assert_string_equal(shape.name, "?]0;title? \xc3\xa9 ?2J ? \xc2\xa9?");
}

/* ---- splits ---- */

static const char *const part_names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                         "m-00003-of-00003.gguf"};

/* Three parts, the first without tensors, as llama-gguf-split makes them on request. */
static void put_parts(struct gguf_writer *w)
{
    for (unsigned i = 0; i < 3; i++) {
        w[i] = gguf_writer_empty();
        gguf_value(&w[i], "split.no", GGUF_UINT16, i);
        gguf_value(&w[i], "split.count", GGUF_UINT16, 3);
        gguf_value(&w[i], "split.tensors.count", GGUF_INT32, 3);
    }
    gguf_string(&w[0], "general.architecture", "llama");
    gguf_u32(&w[0], "llama.block_count", 1);
    gguf_tensor(&w[1], "blk.0.a", 0, 8, 1);
    gguf_tensor(&w[1], "token_embd.weight", 0, 8, 2);
    gguf_tensor(&w[2], "blk.0.b", 0, 4, 1);
}

static int read_parts(struct gguf_writer *w, size_t count, struct model_shape *ret,
                      struct err *err)
{
    struct buf files[3];
    for (size_t i = 0; i < 3; i++)
        files[i] = gguf_writer_end(&w[i]);
    const int rc = read_files(files, part_names, count, ret, err);
    for (size_t i = count; i < 3; i++)
        buf_fini(&files[i]);
    return rc;
}

static void test_parts_of_a_split_are_one_model(void **state)
{
    (void)state;
    struct gguf_writer w[3];
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct err err = {0};
    put_parts(w);
    assert_int_equal(read_parts(w, 3, &shape, &err), 0);
    assert_true(shape.is_split);
    assert_int_equal(shape.layers[0].bytes, 48);
    assert_int_equal(shape.input_bytes, 64);
    assert_int_equal(shape.vocabulary_size, 2);
}

static void other_count(struct gguf_writer *w)
{
    w[1].entry_count = 0;
    buf_clear(&w[1].entries);
    gguf_value(&w[1], "split.no", GGUF_UINT16, 1);
    gguf_value(&w[1], "split.count", GGUF_UINT16, 4);
}

static void other_number(struct gguf_writer *w)
{
    w[2].entry_count = 0;
    buf_clear(&w[2].entries);
    gguf_value(&w[2], "split.no", GGUF_UINT16, 0);
    gguf_value(&w[2], "split.count", GGUF_UINT16, 3);
}

static void one_more(struct gguf_writer *w) { gguf_tensor(&w[2], "c", 0, 1, 1); }
static void cut_part(struct gguf_writer *w) { w[1].data_bytes--; }

static void same_tensor(struct gguf_writer *w)
{
    gguf_tensor(&w[2], "blk.0.a", 0, 1, 1);
}

static void test_bad_splits_are_refused(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct gguf_writer *w);
        size_t count;
        int code;
        const char *text;
    } cases[] = {
        {other_count, 3, ERR_SYNTAX, "m-00002-of-00003.gguf is by its metadata part 2 of 4"},
        {other_number, 3, ERR_SYNTAX, "metadata part 1 of 3, by its name part 3 of 3"},
        {one_more, 3, ERR_SYNTAX, "has 4 tensors in all parts instead of 3"},
        {cut_part, 3, ERR_SYNTAX, "m-00002-of-00003.gguf: has 95 bytes of tensor data"},
        {same_tensor, 3, ERR_SYNTAX, "m-00003-of-00003.gguf: has the tensor blk.0.a twice"},
        {NULL, 2, ERR_NOT_FOUND, "m-00003-of-00003.gguf is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gguf_writer w[3];
        struct model_shape shape = {0};
        struct err err = {0};
        put_parts(w);
        if (cases[i].spoil)
            cases[i].spoil(w);
        const int rc = read_parts(w, cases[i].count, &shape, &err);
        if (rc != cases[i].code || !strstr(err.text, cases[i].text))
            fail_msg("%zu: %d \"%s\"", i, rc, err.text);
    }
}

static void test_a_part_under_another_name_is_refused(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    struct model_shape shape = {0};
    struct err err = {0};
    gguf_value(&w, "split.count", GGUF_UINT16, 2);
    assert_int_equal(read_back(&w, &shape, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "is part 1 of 2 of a model"));
}

static void test_one_part_of_one_is_a_whole_model(void **state)
{
    (void)state;
    static const char *const name = "m-00001-of-00001.gguf";
    for (unsigned has_keys = 0; has_keys < 2; has_keys++) {
        struct gguf_writer w = gguf_writer_empty();
        auto_fini(model_shape_fini) struct model_shape shape = {0};
        struct err err = {0};
        put_good(&w);
        if (has_keys) {
            gguf_value(&w, "split.no", GGUF_UINT16, 0);
            gguf_value(&w, "split.count", GGUF_UINT16, 1);
            gguf_value(&w, "split.tensors.count", GGUF_INT32, 6);
        }
        struct buf file = gguf_writer_end(&w);
        if (read_files(&file, &name, 1, &shape, &err) < 0)
            fail_msg("%s", err.text);
        assert_good(&shape);
        assert_false(shape.is_split);
    }
}

/* ---- bad files ---- */

static void version_1(struct gguf_writer *w) { w->version = 1; }
static void version_4(struct gguf_writer *w) { w->version = 4; }
static void other_magic(struct gguf_writer *w) { w->magic = "GGML"; }
static void entries_overflow(struct gguf_writer *w) { w->entry_count = UINT64_MAX; }
static void many_entries(struct gguf_writer *w) { w->entry_count = 60000; }
static void tensors_overflow(struct gguf_writer *w) { w->tensor_count = UINT64_MAX / 24; }
static void negative_tensors(struct gguf_writer *w) { w->tensor_count = UINT64_MAX; }
static void many_tensors(struct gguf_writer *w) { w->tensor_count = 1 << 20; }
static void cut_off(struct gguf_writer *w) { w->data_bytes--; }
static void entry_missing(struct gguf_writer *w) { w->entry_count++; }
static void empty_key(struct gguf_writer *w) { gguf_u32(w, "", 1); }
static void same_key(struct gguf_writer *w) { gguf_u32(w, "llama.block_count", 2); }
static void same_unknown_key(struct gguf_writer *w) { gguf_u32(w, "unknown.key", 2); }
static void unknown_type(struct gguf_writer *w) { gguf_key(w, "x\ny", 13); }
static void text_for_number(struct gguf_writer *w) { gguf_string(w, "llama.expert_count", "8"); }
static void text_for_split(struct gguf_writer *w) { gguf_string(w, "split.no", "x"); }
static void number_for_text(struct gguf_writer *w) { gguf_u32(w, "general.type", 1); }
static void float_for_number(struct gguf_writer *w)
{
    gguf_value(w, "llama.expert_count", GGUF_FLOAT32, 0);
}
static void negative(struct gguf_writer *w)
{
    gguf_value(w, "llama.expert_count", GGUF_INT16, 0xffff);
}
static void bool_of_2(struct gguf_writer *w)
{
    gguf_value(w, "llama.attention.causal", GGUF_BOOL, 2);
}
static void many_experts(struct gguf_writer *w) { gguf_u32(w, "llama.expert_count", 513); }
static void more_used(struct gguf_writer *w) { gguf_u32(w, "llama.expert_used_count", 1); }
static void wide_heads(struct gguf_writer *w)
{
    gguf_u32(w, "llama.attention.key_length", 1 << 20);
}
static void all_nextn(struct gguf_writer *w) { gguf_u32(w, "llama.nextn_predict_layers", 2); }
static void all_shared(struct gguf_writer *w)
{
    gguf_u32(w, "llama.attention.shared_kv_layers", 3);
}
static void short_array(struct gguf_writer *w)
{
    gguf_numbers(w, "llama.attention.recurrent_layers", GGUF_BOOL, (const unsigned[]){1}, 1);
}
static void long_array(struct gguf_writer *w)
{
    struct buf *out = gguf_array(w, "llama.attention.recurrent_layers", GGUF_BOOL, 513);
    for (int i = 0; i < 513; i++)
        buf_add_char(out, 1);
}
static void long_key(struct gguf_writer *w)
{
    gguf_number(w, &w->entries, 70000, 8);
    w->entry_count++;
    w->data_bytes += 70000;
}
static void long_string(struct gguf_writer *w)
{
    gguf_number(w, gguf_key(w, "x", GGUF_STRING), GGUF_STRING_MAX + 1, 8);
    w->data_bytes += GGUF_STRING_MAX + 1;
}
static void string_overflow(struct gguf_writer *w)
{
    gguf_number(w, gguf_key(w, "x", GGUF_STRING), UINT64_MAX - 8, 8);
}
static void array_overflow(struct gguf_writer *w) { gguf_array(w, "x", GGUF_UINT64, 1ull << 61); }
static void array_of_arrays(struct gguf_writer *w) { gguf_array(w, "x", GGUF_ARRAY, 1); }
static void array_of_unknown(struct gguf_writer *w) { gguf_array(w, "x", 13, 1); }
static void strings_missing(struct gguf_writer *w) { gguf_array(w, "x", GGUF_STRING, 500); }
static void alignment_0(struct gguf_writer *w) { gguf_u32(w, "general.alignment", 0); }
static void alignment_24(struct gguf_writer *w) { gguf_u32(w, "general.alignment", 24); }
static void alignment_u64(struct gguf_writer *w)
{
    gguf_value(w, "general.alignment", GGUF_UINT64, 32);
}
static void tensor(struct gguf_writer *w, uint32_t type, uint64_t columns, uint64_t rows)
{
    gguf_tensor_at(w, "x", type, (const uint64_t[]){columns, rows}, 2, w->offset);
}
static void hole(struct gguf_writer *w)
{
    gguf_tensor_at(w, "x", 0, (const uint64_t[]){1}, 1, w->offset + 32);
}
static void overlap(struct gguf_writer *w)
{
    gguf_tensor_at(w, "x", 0, (const uint64_t[]){1}, 1, w->offset - 32);
}
static void hole_after_unknown(struct gguf_writer *w)
{
    gguf_tensor(w, "x", 50, 1, 1);
    gguf_tensor_at(w, "y", 0, (const uint64_t[]){1}, 1, w->offset + 4);
}
static void half_block(struct gguf_writer *w) { tensor(w, 2, 31, 1); }
static void withdrawn(struct gguf_writer *w) { tensor(w, 31, 32, 1); }
static void huge_tensor(struct gguf_writer *w) { tensor(w, 0, 1ull << 40, 1ull << 40); }
static void negative_dimension(struct gguf_writer *w) { tensor(w, 24, UINT64_MAX, 0); }
static void huge_bytes(struct gguf_writer *w) { tensor(w, 0, 1ull << 62, 1); }
static void large_bytes(struct gguf_writer *w) { tensor(w, 0, 1ull << 55, 1); }
static void five_dimensions(struct gguf_writer *w)
{
    gguf_tensor_at(w, "x", 0, (const uint64_t[]){1, 1, 1, 1, 1}, 5, w->offset);
}
static void nameless(struct gguf_writer *w)
{
    gguf_tensor_at(w, "", 0, (const uint64_t[]){1}, 1, w->offset);
}
static void same_tensor_name(struct gguf_writer *w) { gguf_tensor(w, "output.weight", 0, 1, 1); }
static void layer_513(struct gguf_writer *w) { gguf_tensor(w, "blk.512.x", 0, 1, 1); }
static void long_tensor_name(struct gguf_writer *w)
{
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    gguf_tensor(w, name, 0, 1, 1);
}

static const struct bad_case {
    const char *name;
    void (*spoil)(struct gguf_writer *w);
    int code;
    const char *text; /* part of the error */
} bad_cases[] = {
    {"version 1", version_1, ERR_INVALID, "m.gguf: has version 1; versions 2 to 3"},
    {"version 4", version_4, ERR_INVALID, "version 4"},
    {"other magic", other_magic, ERR_SYNTAX, "doesn't begin with GGUF"},
    {"entries overflow", entries_overflow, ERR_SYNTAX, "metadata entries, more than fit"},
    {"many entries", many_entries, ERR_SYNTAX, "60000 metadata entries, more than fit"},
    {"tensors overflow", tensors_overflow, ERR_SYNTAX, "tensors, more than fit"},
    {"negative tensors", negative_tensors, ERR_SYNTAX, "tensors, more than fit"},
    {"many tensors", many_tensors, ERR_SYNTAX, "tensors, more than fit"},
    {"cut off", cut_off, ERR_SYNTAX, "bytes of tensor data instead of"},
    {"entry missing", entry_missing, ERR_TOO_LARGE, "tensor name of"},
    {"empty key", empty_key, ERR_SYNTAX, "empty key"},
    {"same key", same_key, ERR_SYNTAX, "llama.block_count stands twice"},
    {"same unknown key", same_unknown_key, ERR_SYNTAX, "unknown.key stands twice"},
    {"unknown type", unknown_type, ERR_SYNTAX, "key x?y has the type unknown (13)"},
    {"text for number", text_for_number, ERR_SYNTAX, "expert_count has the type string"},
    {"text for split", text_for_split, ERR_SYNTAX, "split.no has the type string"},
    {"number for text", number_for_text, ERR_SYNTAX, "general.type has the type uint32"},
    {"float for number", float_for_number, ERR_SYNTAX, "has the type float32"},
    {"negative", negative, ERR_SYNTAX, "expert_count is negative"},
    {"bool of 2", bool_of_2, ERR_SYNTAX, "causal is a bool of 2"},
    {"many experts", many_experts, ERR_TOO_LARGE, "expert_count is 513, at most 512"},
    {"more used", more_used, ERR_SYNTAX, "uses 1 experts of 0"},
    {"wide heads", wide_heads, ERR_TOO_LARGE, "key_length is 1048576, at most 65536"},
    {"all nextn", all_nextn, ERR_SYNTAX, "2 layers, of which 2 predict"},
    {"all shared", all_shared, ERR_SYNTAX, "2 layers, of which 3 share"},
    {"short array", short_array, ERR_SYNTAX, "1 items in the key attention.recurrent_layers"},
    {"long array", long_array, ERR_TOO_LARGE, "513 items, at most 512"},
    {"long key", long_key, ERR_TOO_LARGE, "key of 70000 bytes"},
    {"long string", long_string, ERR_TOO_LARGE, "string of 16777217 bytes"},
    {"string overflow", string_overflow, ERR_SYNTAX, "more than fit into it"},
    {"array overflow", array_overflow, ERR_SYNTAX, "items, more than fit"},
    {"array of arrays", array_of_arrays, ERR_SYNTAX, "type array"},
    {"array of unknown", array_of_unknown, ERR_SYNTAX, "type unknown (13)"},
    {"strings missing", strings_missing, ERR_SYNTAX, "500 items, more than fit"},
    {"alignment 0", alignment_0, ERR_SYNTAX, "general.alignment is 0"},
    {"alignment 24", alignment_24, ERR_SYNTAX, "general.alignment is 24"},
    {"alignment u64", alignment_u64, ERR_SYNTAX, "general.alignment has the type uint64"},
    {"hole", hole, ERR_SYNTAX, "has the tensor x at"},
    {"overlap", overlap, ERR_SYNTAX, "has the tensor x at"},
    {"hole after unknown", hole_after_unknown, ERR_SYNTAX, "has the tensor y at"},
    {"half block", half_block, ERR_SYNTAX, "rows of 31 weights in blocks of 32"},
    {"withdrawn", withdrawn, ERR_INVALID, "type 31, which was withdrawn"},
    {"huge tensor", huge_tensor, ERR_SYNTAX, "2^63 weights"},
    {"negative dimension", negative_dimension, ERR_SYNTAX, "2^63 weights"},
    {"huge bytes", huge_bytes, ERR_SYNTAX, "2^64 bytes"},
    {"large bytes", large_bytes, ERR_TOO_LARGE, "2^56 bytes"},
    {"five dimensions", five_dimensions, ERR_SYNTAX, "5 dimensions"},
    {"nameless", nameless, ERR_SYNTAX, "tensor name of 0 bytes"},
    {"same tensor", same_tensor_name, ERR_SYNTAX, "has the tensor output.weight twice"},
    {"layer 513", layer_513, ERR_TOO_LARGE, "blk.512.x of layer 512"},
    {"long tensor name", long_tensor_name, ERR_TOO_LARGE, "tensor name of 299 bytes"},
};

static void test_bad_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        struct gguf_writer w = gguf_writer_empty();
        struct model_shape shape = {.layer_count = 99};
        struct err err = {0};
        put_good(&w);
        bad_cases[i].spoil(&w);
        const int rc = read_back(&w, &shape, &err);
        if (rc != bad_cases[i].code || !strstr(err.text, bad_cases[i].text))
            fail_msg("%s: %d \"%s\"", bad_cases[i].name, rc, err.text);
        assert_int_equal(shape.layer_count, 99); /* outputs are written on success only */
    }
}

static void test_every_truncation_is_an_error(void **state)
{
    (void)state;
    struct gguf_writer w = gguf_writer_empty();
    put_good(&w);
    auto_fini(buf_fini) struct buf whole = gguf_writer_end(&w);
    for (size_t length = whole.len; length-- > 0;) {
        struct memory_source memory;
        struct model_shape shape;
        memory_source_init(&memory);
        memory_source_add(&memory, "m.gguf", str_sub(whole.ptr, length));
        assert_int_equal(gguf_read(&memory.base, memory.base.files, &shape, NULL), ERR_SYNTAX);
        memory_source_fini(&memory);
    }
}

/* ---- tables ---- */

static void test_type_tables_agree_with_the_format(void **state)
{
    (void)state;
    assert_string_equal(gguf_value_name(GGUF_FLOAT64), "float64");
    assert_int_equal(gguf_value_size(GGUF_STRING), 0);
    assert_null(gguf_value_name(13));
    assert_null(gguf_tensor_type(4)); /* withdrawn */
    assert_null(gguf_tensor_type(43));
    assert_string_equal(gguf_tensor_type(14)->name, "Q6_K");
    for (uint32_t id = 0; id < 43; id++) {
        const struct gguf_tensor_type *type = gguf_tensor_type(id);
        if (type && type->elements > 1)
            assert_in_range(type->bytes * 8 / type->elements, 1, 9); /* bits for a weight */
    }
    assert_null(gguf_file_type_name(4));
    assert_null(gguf_file_type_name(UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions_byte_orders_and_alignments),
        cmocka_unit_test(test_every_value_type_is_passed_over),
        cmocka_unit_test(test_every_tensor_type_has_its_bytes),
        cmocka_unit_test(test_dimensions_0_to_4),
        cmocka_unit_test(test_keys_may_come_before_the_architecture),
        cmocka_unit_test(test_stated_vocabulary_size_wins),
        cmocka_unit_test(test_unknown_tensor_types_end_where_the_next_tensor_begins),
        cmocka_unit_test(test_names_have_no_control_characters),
        cmocka_unit_test(test_long_names_are_cut_at_a_character),
        cmocka_unit_test(test_parts_of_a_split_are_one_model),
        cmocka_unit_test(test_bad_splits_are_refused),
        cmocka_unit_test(test_a_part_under_another_name_is_refused),
        cmocka_unit_test(test_one_part_of_one_is_a_whole_model),
        cmocka_unit_test(test_bad_files_are_refused_with_the_reason),
        cmocka_unit_test(test_every_truncation_is_an_error),
        cmocka_unit_test(test_type_tables_agree_with_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
