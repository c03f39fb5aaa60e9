/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A header is built from parts in a memory file and read back. Each bad file differs from the good
 * one in a single part, so that the error that is seen is the one that is meant.
 */
#include "weights/gguf.h"

#include "base/buf.h"
#include "weights/gguf_types.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

/* --- writing ------------------------------------------------------------------------------- */

static void put_number(struct buf *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_add_char(out, (char)(value >> (8 * i)));
}

static void put_string(struct buf *out, struct str s)
{
    put_number(out, s.len, 8);
    buf_add_str(out, s);
}

/* A file in the making; counts are filled in when it is finished. */
struct file {
    struct buf entries, tensors;
    uint64_t entry_count, tensor_count;
    uint64_t data_bytes;
    uint32_t version;
};

static struct buf *put_key(struct file *file, const char *key, uint32_t type)
{
    put_string(&file->entries, str_of(key));
    put_number(&file->entries, type, 4);
    file->entry_count++;
    return &file->entries;
}

static void put_u32(struct file *file, const char *key, uint32_t value)
{
    put_number(put_key(file, key, GGUF_UINT32), value, 4);
}

static void put_text(struct file *file, const char *key, const char *value)
{
    put_string(put_key(file, key, GGUF_STRING), str_of(value));
}

static struct buf *put_array(struct file *file, const char *key, uint32_t type, uint64_t count)
{
    struct buf *out = put_key(file, key, GGUF_ARRAY);
    put_number(out, type, 4);
    put_number(out, count, 8);
    return out;
}

static void put_tensor(struct file *file, const char *name, uint64_t columns, uint64_t rows,
                       uint32_t type, uint64_t offset)
{
    put_string(&file->tensors, str_of(name));
    put_number(&file->tensors, 2, 4);
    put_number(&file->tensors, columns, 8);
    put_number(&file->tensors, rows, 8);
    put_number(&file->tensors, type, 4);
    put_number(&file->tensors, offset, 8);
    file->tensor_count++;
}

/* What every case begins with. */
static void put_good(struct file *file)
{
    file->version = 3;
    put_text(file, "general.architecture", "llama");
    put_text(file, "general.name", "a model");
    put_u32(file, "general.file_type", 15);
    put_u32(file, "llama.block_count", 2);
    put_number(put_key(file, "llama.context_length", GGUF_UINT64), 131072, 8);
    put_number(put_key(file, "llama.embedding_length", GGUF_UINT16), 64, 2);
    put_u32(file, "llama.attention.head_count", 8);
    struct buf *out = put_array(file, "llama.attention.head_count_kv", GGUF_INT32, 2);
    put_number(out, 4, 4);
    put_number(out, 2, 4);
    out = put_array(file, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    put_string(out, STR("a"));
    put_string(out, STR(""));
    put_string(out, STR("ccc"));
    put_number(put_array(file, "tokenizer.ggml.scores", GGUF_FLOAT32, 1), 0, 4);
    put_text(file, "tokenizer.chat_template", "{{ x }}");
    put_text(file, "unknown.key", "passed over");
    put_tensor(file, "a.weight", 256, 2, 12, 0); /* Q4_K: 2 x 144 */
    put_tensor(file, "b.weight", 3, 1, 0, 288);  /* F32: 12, padded to 32 */
    put_tensor(file, "c.weight", 32, 1, 8, 320); /* Q8_0: 34 */
    file->data_bytes = 320 + 34;
}

/* Reads `file` and releases it. */
static int read_back(struct file *file, struct gguf_info *ret, struct err *err)
{
    auto_fini(buf_fini) struct buf out = {0};
    buf_add_cstr(&out, "GGUF");
    put_number(&out, file->version, 4);
    put_number(&out, file->tensor_count, 8);
    put_number(&out, file->entry_count, 8);
    buf_add_str(&out, buf_str(&file->entries));
    buf_add_str(&out, buf_str(&file->tensors));
    while (out.len % 32)
        buf_add_char(&out, 0);
    for (uint64_t i = 0; i < file->data_bytes; i++)
        buf_add_char(&out, 1);
    buf_fini(&file->entries);
    buf_fini(&file->tensors);
    auto_close int fd = memfd_create("gguf", MFD_CLOEXEC);
    assert_int_equal(write(fd, out.ptr, out.len), (ssize_t)out.len);
    return gguf_read_fd(fd, ret, err);
}

/* --- good files ---------------------------------------------------------------------------- */

static void test_reads_what_the_header_says(void **state)
{
    (void)state;
    struct file file = {0};
    struct gguf_info info;
    struct err err = {0};
    put_good(&file);
    assert_int_equal(read_back(&file, &info, &err), 0);
    assert_int_equal(info.version, 3);
    assert_string_equal(info.architecture, "llama");
    assert_string_equal(info.name, "a model");
    assert_string_equal(gguf_file_type_name(info.file_type), "Q4_K_M");
    assert_int_equal(info.tensor_count, 3);
    assert_int_equal(info.tensor_bytes, 288 + 12 + 34);
    assert_int_equal(info.file_bytes - info.data_offset, 354);
    assert_int_equal(info.block_count, 2);
    assert_int_equal(info.context_length, 131072);
    assert_int_equal(info.embedding_length, 64);
    assert_int_equal(info.head_count, 8);
    assert_int_equal(info.head_count_kv, 4);
    assert_int_equal(info.key_length, 0);
    assert_int_equal(info.vocabulary_size, 3);
    assert_true(info.has_chat_template);
    assert_false(info.has_unknown_types);
}

static void test_keys_may_come_before_the_architecture(void **state)
{
    (void)state;
    struct file file = {.version = 2};
    struct gguf_info info;
    struct err err = {0};
    put_u32(&file, "gemma.block_count", 7);
    put_text(&file, "general.architecture", "gemma");
    put_u32(&file, "gemmalike.context_length", 5);
    assert_int_equal(read_back(&file, &info, &err), 0);
    assert_int_equal(info.block_count, 7);
    assert_int_equal(info.context_length, 0);
    assert_true(info.file_type == GGUF_FILE_TYPE_NONE);
}

static void test_stated_vocabulary_size_wins(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct file file = {.version = 3};
        struct gguf_info info;
        struct err err = {0};
        put_text(&file, "general.architecture", "llama");
        if (first)
            put_u32(&file, "llama.vocab_size", 32000);
        put_string(put_array(&file, "tokenizer.ggml.tokens", GGUF_STRING, 1), STR("a"));
        if (!first)
            put_u32(&file, "llama.vocab_size", 32000);
        assert_int_equal(read_back(&file, &info, &err), 0);
        assert_int_equal(info.vocabulary_size, 32000);
    }
}

static void test_unknown_tensor_types_count_as_the_rest_of_the_file(void **state)
{
    (void)state;
    struct file file = {0};
    struct gguf_info info;
    struct err err = {0};
    put_good(&file);
    put_tensor(&file, "new.weight", 32, 1, 4711, 384);
    put_tensor(&file, "last.weight", 1, 1, 0, 448);
    file.data_bytes = 452;
    assert_int_equal(read_back(&file, &info, &err), 0);
    assert_true(info.has_unknown_types);
    assert_int_equal(info.tensor_bytes, 452);
}

static void test_alignment_moves_tensors(void **state)
{
    (void)state;
    struct file file = {.version = 3};
    struct gguf_info info;
    struct err err = {0};
    put_text(&file, "general.architecture", "llama");
    put_u32(&file, "general.alignment", 64);
    put_tensor(&file, "a", 1, 1, 0, 0);
    put_tensor(&file, "b", 1, 1, 0, 64);
    file.data_bytes = 64 + 4 + 32; /* the test's own padding is to 32 */
    assert_int_equal(read_back(&file, &info, &err), 0);
    assert_int_equal(info.data_offset % 64, 0);
    assert_int_equal(info.tensor_bytes, 8);
}

static void test_long_names_are_cut_at_a_character(void **state)
{
    (void)state;
    struct file file = {.version = 3};
    struct gguf_info info;
    struct err err = {0};
    char name[301];
    for (int i = 0; i < 300; i += 2)
        memcpy(name + i, "\xc3\xa4", 2); /* 255 bytes would end inside of one */
    name[300] = '\0';
    put_text(&file, "general.name", name);
    put_text(&file, "general.architecture", "llama\xff");
    assert_int_equal(read_back(&file, &info, &err), 0);
    assert_int_equal(strlen(info.name), 254);
    assert_string_equal(info.architecture, "llama");
}

/* --- bad files ----------------------------------------------------------------------------- */

static void version_1(struct file *file) { file->version = 1; }
static void version_4(struct file *file) { file->version = 4; }
static void big_endian(struct file *file) { file->version = 0x03000000; }
static void entries_overflow(struct file *file) { file->entry_count = UINT64_MAX; }
static void many_entries(struct file *file) { file->entry_count = 60000; }
static void tensors_overflow(struct file *file) { file->tensor_count = UINT64_MAX / 24; }
static void many_tensors(struct file *file) { file->tensor_count = 1 << 20; }
static void cut_off(struct file *file) { file->data_bytes--; }
static void entry_missing(struct file *file) { file->entry_count++; }
static void empty_key(struct file *file) { put_u32(file, "", 1); }
static void same_key(struct file *file) { put_u32(file, "llama.block_count", 2); }
static void unknown_type(struct file *file) { put_key(file, "x\ny", 13); }
static void text_for_number(struct file *file) { put_text(file, "llama.expert_count", "8"); }
static void number_for_text(struct file *file) { put_text(file, "split.no", "x"); }
static void float_for_number(struct file *file)
{
    put_number(put_key(file, "llama.expert_count", GGUF_FLOAT32), 0, 4);
}
static void negative(struct file *file)
{
    put_number(put_key(file, "llama.expert_count", GGUF_INT16), 0xffff, 2);
}
static void long_key(struct file *file)
{
    put_number(&file->entries, 70000, 8);
    file->entry_count++;
}
static void string_overflow(struct file *file)
{
    put_number(put_key(file, "x", GGUF_STRING), UINT64_MAX - 8, 8);
}
static void array_overflow(struct file *file) { put_array(file, "x", GGUF_UINT64, 1ull << 61); }
static void array_of_arrays(struct file *file) { put_array(file, "x", GGUF_ARRAY, 1); }
static void strings_missing(struct file *file) { put_array(file, "x", GGUF_STRING, 5); }
static void alignment_0(struct file *file) { put_u32(file, "general.alignment", 0); }
static void alignment_24(struct file *file) { put_u32(file, "general.alignment", 24); }
static void hole(struct file *file) { put_tensor(file, "x", 1, 1, 0, 512); }
static void half_block(struct file *file) { put_tensor(file, "x", 31, 1, 2, 384); }
static void huge_tensor(struct file *file)
{
    put_tensor(file, "x", 1ull << 40, 1ull << 40, 0, 384);
}
static void many_weights(struct file *file) { put_tensor(file, "x", 1ull << 63, 1, 24, 384); }
static void huge_bytes(struct file *file) { put_tensor(file, "x", 1ull << 62, 1, 0, 384); }
static void many_dimensions(struct file *file)
{
    put_string(&file->tensors, STR("x"));
    put_number(&file->tensors, 5, 4);
    for (int i = 0; i < 8; i++)
        put_number(&file->tensors, 1, 8);
    file->tensor_count++;
}
static void layers_overflow(struct file *file)
{
    struct buf *out = put_array(file, "llama.feed_forward_length", GGUF_UINT8, 70000);
    for (int i = 0; i < 70000; i++)
        buf_add_char(out, 1);
}

static const struct bad_case {
    const char *name;
    void (*spoil)(struct file *file);
    int code;
    const char *text; /* part of the error */
} bad_cases[] = {
    {"version 1", version_1, ERR_INVALID, "version 1; versions 2 to 3"},
    {"version 4", version_4, ERR_INVALID, "version 4"},
    {"big-endian", big_endian, ERR_INVALID, "big-endian"},
    {"entries overflow", entries_overflow, ERR_TOO_LARGE, "metadata entries"},
    {"many entries", many_entries, ERR_SYNTAX, "60000 metadata entries, more than fit"},
    {"tensors overflow", tensors_overflow, ERR_TOO_LARGE, "tensors"},
    {"many tensors", many_tensors, ERR_SYNTAX, "tensors, more than fit"},
    {"cut off", cut_off, ERR_SYNTAX, "353 bytes of tensor data instead of 354"},
    {"entry missing", entry_missing, ERR_TOO_LARGE, "tensor name"},
    {"empty key", empty_key, ERR_SYNTAX, "empty key"},
    {"same key", same_key, ERR_SYNTAX, "llama.block_count stands twice"},
    {"unknown type", unknown_type, ERR_SYNTAX, "key x?y has the type unknown (13)"},
    {"text for number", text_for_number, ERR_SYNTAX, "expert_count has the type string"},
    {"text for split", number_for_text, ERR_SYNTAX, "split.no has the type string"},
    {"float for number", float_for_number, ERR_SYNTAX, "has the type float32"},
    {"negative", negative, ERR_SYNTAX, "expert_count is negative"},
    {"long key", long_key, ERR_TOO_LARGE, "key of 70000 bytes"},
    {"string overflow", string_overflow, ERR_SYNTAX, "in the middle of its header"},
    {"array overflow", array_overflow, ERR_SYNTAX, "items, more than fit"},
    {"array of arrays", array_of_arrays, ERR_SYNTAX, "type array"},
    {"strings missing", strings_missing, ERR_SYNTAX, "in the middle of its header"},
    {"alignment 0", alignment_0, ERR_SYNTAX, "general.alignment is 0"},
    {"alignment 24", alignment_24, ERR_SYNTAX, "general.alignment is 24"},
    {"hole", hole, ERR_SYNTAX, "tensor at 512 instead of 384"},
    {"half block", half_block, ERR_SYNTAX, "rows of 31 weights in blocks of 32"},
    {"huge tensor", huge_tensor, ERR_SYNTAX, "2^63 weights"},
    {"many weights", many_weights, ERR_SYNTAX, "2^63 weights"},
    {"huge bytes", huge_bytes, ERR_SYNTAX, "2^64 bytes"},
    {"many dimensions", many_dimensions, ERR_SYNTAX, "tensor of 5 dimensions"},
    {"layers overflow", layers_overflow, ERR_TOO_LARGE, "70000 items"},
};

static void test_bad_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_cases); i++) {
        struct file file = {0};
        struct gguf_info info = {.version = 99};
        struct err err = {0};
        put_good(&file);
        bad_cases[i].spoil(&file);
        const int rc = read_back(&file, &info, &err);
        if (rc != bad_cases[i].code || !strstr(err.text, bad_cases[i].text))
            fail_msg("%s: %d \"%s\"", bad_cases[i].name, rc, err.text);
        assert_int_equal(info.version, 99); /* outputs are written on success only */
    }
}

static void test_every_truncation_is_an_error(void **state)
{
    (void)state;
    struct file file = {0};
    put_good(&file);
    auto_fini(buf_fini) struct buf whole = {0};
    buf_add_cstr(&whole, "GGUF");
    put_number(&whole, 3, 4);
    put_number(&whole, file.tensor_count, 8);
    put_number(&whole, file.entry_count, 8);
    buf_add_str(&whole, buf_str(&file.entries));
    buf_add_str(&whole, buf_str(&file.tensors));
    buf_fini(&file.entries);
    buf_fini(&file.tensors);
    auto_close int fd = memfd_create("gguf", MFD_CLOEXEC);
    assert_int_equal(write(fd, whole.ptr, whole.len), (ssize_t)whole.len);
    for (size_t length = whole.len; length-- > 0;) {
        struct gguf_info info;
        assert_int_equal(ftruncate(fd, (off_t)length), 0);
        assert_int_equal(gguf_read_fd(fd, &info, NULL), ERR_SYNTAX);
    }
}

static void test_long_headers_are_refused_without_reading_them(void **state)
{
    (void)state;
    const off_t length = (off_t)GGUF_HEADER_MAX + (64 << 20);
    auto_fini(buf_fini) struct buf start = {0};
    struct file file = {0};
    put_array(&file, "x", GGUF_UINT8, GGUF_HEADER_MAX);
    buf_add_cstr(&start, "GGUF");
    put_number(&start, 3, 4);
    put_number(&start, 0, 8);
    put_number(&start, 1, 8);
    buf_add_str(&start, buf_str(&file.entries));
    buf_fini(&file.entries);
    auto_close int fd = memfd_create("gguf", MFD_CLOEXEC);
    assert_int_equal(write(fd, start.ptr, start.len), (ssize_t)start.len);
    assert_int_equal(ftruncate(fd, length), 0); /* a hole: costs nothing */
    struct gguf_info info;
    struct err err = {0};
    assert_int_equal(gguf_read_fd(fd, &info, &err), ERR_TOO_LARGE);
    assert_string_equal(err.text, "has a header of more than 268435456 bytes");
}

static void test_errors_name_the_path(void **state)
{
    (void)state;
    struct gguf_info info;
    struct err err = {0};
    assert_int_equal(gguf_read("/nonexistent/x.gguf", &info, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x.gguf"));
    assert_int_equal(gguf_read("/dev/null", &info, &err), ERR_INVALID);
    assert_string_equal(err.text, "/dev/null: is not a file");
}

/* --- tables -------------------------------------------------------------------------------- */

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
    assert_null(gguf_file_type_name(GGUF_FILE_TYPE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_the_header_says),
        cmocka_unit_test(test_keys_may_come_before_the_architecture),
        cmocka_unit_test(test_stated_vocabulary_size_wins),
        cmocka_unit_test(test_unknown_tensor_types_count_as_the_rest_of_the_file),
        cmocka_unit_test(test_alignment_moves_tensors),
        cmocka_unit_test(test_long_names_are_cut_at_a_character),
        cmocka_unit_test(test_bad_files_are_refused_with_the_reason),
        cmocka_unit_test(test_every_truncation_is_an_error),
        cmocka_unit_test(test_long_headers_are_refused_without_reading_them),
        cmocka_unit_test(test_errors_name_the_path),
        cmocka_unit_test(test_type_tables_agree_with_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
