/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of usage: what is read, what is refused and by which words, what is dropped. */
#include "domain/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GATEWAY "6f1c3f0e-3c55-4d52-9c50-7f3f4d0f6a11"

static json_t *make_record(int seq)
{
    return json_pack("{s:i,s:s,s:i,s:i,s:i,s:s,s:s,s:i,s:s,s:s,s:i,s:n,s:b,s:b,s:i,s:i,s:i,s:i,s:i,"
                     "s:I,s:i,s:i,s:i,s:i}",
                     "seq", seq, "request_id", "req_1", "user_id", 1, "key_id", 2, "model_id", 3,
                     "model", "hello", "route", "gpt-4", "instance_id", 4, "operation", "messages",
                     "outcome", "cut", "status", 200, "aborted_phase", "is_stream", 1,
                     "is_estimated", 0, "prompt_tokens", 10, "cached_tokens", 2,
                     "completion_tokens", 5, "request_bytes", 100, "response_bytes", 200,
                     "started_ms", (json_int_t)1764547200000, "queue_us", 1, "first_byte_us", 2,
                     "total_us", 3, "attempts", 1);
}

static json_t *make_batch(int count)
{
    json_t *records = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(records, make_record(i + 1));
    return json_pack("{s:s,s:o}", "gateway", GATEWAY, "records", records);
}

static void test_read(void **state)
{
    auto_fini(json_release) json_t *body = make_batch(2);
    json_t *second = json_array_get(json_object_get(body, "records"), 1);
    json_object_set_new(second, "aborted_phase", json_string("queued"));
    json_object_set_new(second, "unknown", json_true());
    struct usage_batch batch;
    struct err err = {0};
    assert_int_equal(usage_batch_read(body, &batch, &err), 0);
    assert_string_equal(batch.gateway, GATEWAY);
    assert_int_equal(batch.count, 2);
    const struct usage *usage = &batch.records[0];
    assert_string_equal(usage->model, "hello");
    assert_string_equal(usage->route, "gpt-4");
    assert_int_equal(usage->operation, USAGE_MESSAGES);
    assert_int_equal(usage->outcome, USAGE_CUT);
    assert_int_equal(usage->aborted_phase, USAGE_NOT_ABORTED);
    assert_int_equal(batch.records[1].aborted_phase, USAGE_QUEUED);
    assert_true(usage->is_stream && !usage->is_estimated);
    assert_int_equal(usage->started_ms, 1764547200000);
    assert_int_equal(usage_tokens(usage), 15);
    usage_batch_fini(&batch);
}

/* A gateway can't make a record of what an engine tells that is put aside here: three numbers of
 * 2^40 are a prompt's most. */
static void test_most_tokens_of_a_gateway(void **state)
{
    auto_fini(json_release) json_t *body = make_batch(1);
    json_t *record = json_array_get(json_object_get(body, "records"), 0);
    json_object_set_new(record, "prompt_tokens", json_integer(INT64_C(3) << 40));
    json_object_set_new(record, "completion_tokens", json_integer(INT64_C(1) << 40));
    struct usage_batch batch;
    struct err err = {0};
    assert_int_equal(usage_batch_read(body, &batch, &err), 0);
    assert_int_equal(usage_tokens(&batch.records[0]), INT64_C(1) << 42);
    usage_batch_fini(&batch);
}

static void refuse(const json_t *body, const char *text)
{
    struct usage_batch batch;
    struct err err = {0};
    assert_int_equal(usage_batch_read(body, &batch, &err), ERR_SYNTAX);
    assert_string_equal(err.text, text);
    assert_null(batch.records);
}

static void refuse_member(const char *name, json_t *value, const char *text)
{
    auto_fini(json_release) json_t *body = make_batch(3);
    json_t *record = json_array_get(json_object_get(body, "records"), 1);
    if (value)
        json_object_set_new(record, name, value);
    else
        json_object_del(record, name);
    refuse(body, text);
}

static void test_wrong_members(void **state)
{
    refuse_member("status", json_integer(1000), "records[1].status: must be 0-999, not 1000");
    refuse_member("model_id", json_integer(0),
                  "records[1].model_id: must be 1-9223372036854775807, not 0");
    refuse_member("prompt_tokens", json_integer((INT64_C(1) << 42) + 1),
                  "records[1].prompt_tokens: must be 0-4398046511104, not 4398046511105");
    refuse_member("attempts", NULL, "records[1].attempts: must be 0-2147483647, not missing");
    refuse_member("is_stream", json_integer(1),
                  "records[1].is_stream: must be true or false, not 1");
    refuse_member("request_id", json_string(""),
                  "records[1].request_id: must be a text of 1-128 bytes, not \"\"");
    refuse_member("model", json_stringn("a\0b", 3),
                  "records[1].model: must be a text of 1-256 bytes, not \"a\\u0000b\"");
    refuse_member("aborted_phase", json_string(""),
                  "records[1].aborted_phase: must be null or one of reading, queued, connecting, "
                  "waiting, streaming, body, not \"\"");
    refuse_member("outcome", json_null(),
                  "records[1].outcome: must be one of ok, client_error, engine_error, cut, "
                  "aborted, limited, no_instance, timeout, not null");
    refuse_member("seq", json_integer(1), "records[1].seq: must be above 1, not 1");
}

static void test_wrong_batches(void **state)
{
    auto_fini(json_release) json_t *body = make_batch(USAGE_BATCH_MAX + 1);
    refuse(body, "records: must be at most 1000, not 1001");
    json_object_set_new(body, "records", json_string("all"));
    refuse(body, "records: must be a list");
    json_object_set_new(body, "gateway", json_string("a b"));
    refuse(body, "gateway: must be a uuid of at most 64 bytes");
    json_object_set_new(body, "gateway", json_stringn("a\0b", 3));
    refuse(body, "gateway: must be a uuid of at most 64 bytes");
}

static void test_drop(void **state)
{
    auto_fini(json_release) json_t *body = make_batch(5);
    struct usage_batch batch;
    assert_int_equal(usage_batch_read(body, &batch, NULL), 0);
    usage_batch_drop(&batch, 0);
    assert_int_equal(batch.count, 5);
    usage_batch_drop(&batch, 3);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.records[0].seq, 4);
    usage_batch_drop(&batch, 5);
    assert_int_equal(batch.count, 0);
    usage_batch_fini(&batch);
}

static void test_errors(void **state)
{
    static const bool is_error[USAGE_OUTCOME_COUNT] = {
        [USAGE_CLIENT_ERROR] = true, [USAGE_ENGINE_ERROR] = true, [USAGE_CUT] = true,
        [USAGE_LIMITED] = true,      [USAGE_NO_INSTANCE] = true,  [USAGE_TIMEOUT] = true};
    for (int i = 0; i < USAGE_OUTCOME_COUNT; i++) {
        const struct usage usage = {.outcome = i};
        assert_int_equal(usage_is_error(&usage), is_error[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read), cmocka_unit_test(test_most_tokens_of_a_gateway),
        cmocka_unit_test(test_wrong_members),
        cmocka_unit_test(test_wrong_batches), cmocka_unit_test(test_drop),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
