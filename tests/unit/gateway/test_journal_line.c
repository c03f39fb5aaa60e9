/* SPDX-License-Identifier: Apache-2.0 */
/* A record's line in the journal, and the record back from it. */
#include "gateway/journal_line.h"
#include "gateway/record_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct usage_record example(void)
{
    return (struct usage_record){
        .seq = 7,
        .request_id = "req-1",
        .model = "hello",
        .route = "gpt \"4\"",
        .user_id = 1,
        .key_id = 2,
        .model_id = 3,
        .instance_id = 4,
        .operation = OPERATION_MESSAGES,
        .outcome = OUTCOME_ABORTED,
        .status = 200,
        .is_aborted = true,
        .phase = PHASE_STREAMING,
        .is_stream = true,
        .is_estimated = true,
        .prompt_tokens = 11,
        .cached_tokens = 12,
        .completion_tokens = 13,
        .request_bytes = 14,
        .response_bytes = 15,
        .started_ms = 16,
        .queue_us = 17,
        .first_byte_us = 18,
        .total_us = 19,
        .attempts = 2,
    };
}

/* The line without its end. */
static struct str write_line(const struct usage_record *record, struct buf *out)
{
    journal_line_write(record, out);
    assert_int_equal(out->ptr[out->len - 1], '\n');
    return str_sub(out->ptr, out->len - 1);
}

static void expect_same(const struct usage_record *a, const struct usage_record *b)
{
    struct buf left = {0}, right = {0};
    usage_record_write(a, &left);
    usage_record_write(b, &right);
    assert_string_equal(left.ptr, right.ptr);
    buf_fini(&left);
    buf_fini(&right);
}

static void test_there_and_back(void **state)
{
    struct usage_record record = example(), again;
    struct str open_object;
    struct buf text = {0}, object = {0};
    uint64_t seq;
    struct str line = write_line(&record, &text);
    assert_int_equal(journal_line_check(line, &seq, &open_object), 0);
    assert_int_equal(seq, 7);
    usage_record_write(&record, &object);
    assert_true(str_eq(open_object, str_sub(object.ptr, object.len - 1)));
    assert_int_equal(journal_line_read(line, &again, NULL), 0);
    expect_same(&record, &again);
    buf_fini(&text);
    buf_fini(&object);
}

static void test_known_sum(void **state)
{
    /* CRC-32C of '{"seq":1,"a":2' */
    static const struct str line = STR("{\"seq\":1,\"a\":2,\"crc32c\":\"02ee2e95\"}");
    struct str open_object;
    uint64_t seq;
    assert_int_equal(journal_line_check(line, &seq, &open_object), 0);
}

/* The longest record, all of it escaped, fits a line; bytes that aren't UTF-8 come back cut. */
static void test_longest(void **state)
{
    struct usage_record record = example(), again;
    struct buf text = {0};
    memset(record.request_id, 1, RECORD_ID_MAX);
    memset(record.model, 2, RECORD_NAME_MAX);
    memset(record.route, 0xff, RECORD_NAME_MAX);
    record.total_us = record.started_ms = INT64_MAX;
    struct str line = write_line(&record, &text);
    assert_int_equal(journal_line_read(line, &again, NULL), 0);
    assert_string_equal(again.model, record.model);
    assert_int_equal(strlen(again.route), RECORD_NAME_MAX);
    buf_fini(&text);
}

static void test_any_wrong_bit_shows(void **state)
{
    struct usage_record record = example();
    struct buf text = {0};
    struct str line = write_line(&record, &text), open_object;
    uint64_t seq;
    for (size_t i = 0; i < line.len; i++) {
        assert_int_equal(journal_line_check(str_sub(line.ptr, i), &seq, &open_object), ERR_SYNTAX);
        for (int bit = 0; bit < 8; bit++) {
            text.ptr[i] ^= (char)(1 << bit);
            assert_int_equal(journal_line_check(line, &seq, &open_object), ERR_SYNTAX);
            text.ptr[i] ^= (char)(1 << bit);
        }
    }
    buf_fini(&text);
}

static void expect_refused(const char *member, const char *other)
{
    struct usage_record record = example(), again = {.seq = 99};
    struct buf text = {0};
    struct err err = {0};
    json_t *root = NULL;
    usage_record_write(&record, &text);
    assert_int_equal(json_read(buf_str(&text), &root, NULL), 0);
    json_t *value = json_loads(other, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    json_object_set_new(root, member, value);
    assert_int_equal(usage_record_read(root, &again, &err), ERR_INVALID);
    if (!str_has_prefix(str_of(err.text), str_of(member)))
        fail_msg("%s: %s", member, err.text);
    assert_int_equal(again.seq, 99);
    json_decref(root);
    buf_fini(&text);
}

static void test_refuses(void **state)
{
    static const char *const rows[][2] = {
        {"seq", "-1"},       {"request_id", "1"},      {"operation", "\"dance\""},
        {"outcome", "null"}, {"status", "4294967296"}, {"aborted_phase", "\"never\""},
        {"is_stream", "0"},  {"total_us", "1.5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_refused(rows[i][0], rows[i][1]);
    assert_int_equal(usage_record_read(NULL, NULL, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_known_sum),
        cmocka_unit_test(test_longest),        cmocka_unit_test(test_any_wrong_bit_shows),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
