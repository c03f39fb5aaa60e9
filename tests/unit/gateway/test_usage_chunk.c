/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/usage.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum flag {
    DONE = 1,
    CHOICES = 2, /* with something in it */
    EMPTY = 4,   /* without */
    FINISH = 8,
    CONTENT = 16,
    ERROR = 32,
};

static unsigned flags_of(const struct chunk_view *view)
{
    unsigned choices = view->choices_is_empty ? EMPTY : CHOICES;
    return (view->is_done ? DONE : 0) | (view->has_choices ? choices : 0) |
           (view->has_finish ? FINISH : 0) | (view->has_content ? CONTENT : 0) |
           (view->has_error ? ERROR : 0);
}

/* In memory of its own, so that the sanitizer sees a byte too far. */
static bool read_copy(struct str data, char **ret_copy, struct chunk_view *ret)
{
    *ret_copy = mem_alloc(data.len);
    memcpy(*ret_copy, data.ptr, data.len);
    return chunk_read(str_sub(*ret_copy, data.len), ret);
}

static const struct {
    const char *data;
    unsigned flags;
    const char *usage, *type;
} chunks[] = {
    {"[DONE]", DONE, "", ""},
    {" [DONE] ", DONE, "", ""},
    {"{}", 0, "", ""},
    {"{\"choices\":[]}", EMPTY, "", ""},
    {"{\"choices\":[ ],\"usage\":{\"a\":1}}", EMPTY, "{\"a\":1}", ""},
    {"{\"choices\":null,\"usage\":null}", 0, "", ""},
    {"{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
     "\"finish_reason\":null}]}", CHOICES, "", ""},
    {"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}],\"usage\":null}",
     CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"delta\":{\"content\":null}}]}", CHOICES, "", ""},
    {"{\"choices\":[{\"delta\":{\"content\":[{\"text\":\"a\"}]}}]}", CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"delta\":{\"content\":[ ],\"tool_calls\":[]}}]}", CHOICES, "", ""},
    {"{\"choices\":[{\"delta\":{\"reasoning_content\":\"a\"}}]}", CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"delta\":{\"reasoning\":\"a\"}}]}", CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}", CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{}}", CHOICES | FINISH,
     "{}", ""},
    {"{\"choices\":[{\"index\":0,\"delta\":{}},{\"delta\":{\"content\":\"b\"},"
     "\"finish_reason\":\"length\"}]}", CHOICES | CONTENT | FINISH, "", ""},
    {"{\"choices\":[{\"text\":\" a\",\"finish_reason\":null}]}", CHOICES | CONTENT, "", ""},
    {"{\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}", CHOICES | FINISH, "", ""},
    {"{\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
     CHOICES | CONTENT | FINISH, "", ""},
    {"{\"choices\":[1,\"x\",[]]}", CHOICES, "", ""},
    {"{\"error\":{\"message\":\"no\"}}", ERROR, "", ""},
    {"{\"error\":null,\"object\":\"chat.completion.chunk\"}", 0, "", ""},
    {"{\"object\":\"error\",\"message\":\"no\"}", ERROR, "", ""},
    {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", ERROR, "", "error"},
    /* Messages */
    {"{\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":1}}}",
     0, "{\"input_tokens\":1}", "message_start"},
    {"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}",
     CONTENT, "", "content_block_delta"},
    {"{\"type\":\"content_block_delta\",\"delta\":{\"partial_json\":\"\"}}", 0, "",
     "content_block_delta"},
    {"{\"type\":\"content_block_delta\",\"delta\":{\"thinking\":\"a\"}}", CONTENT, "",
     "content_block_delta"},
    {"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":"
     "{\"output_tokens\":1}}", FINISH, "{\"output_tokens\":1}", "message_delta"},
    {"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null}}", 0, "", "message_delta"},
    /* Responses */
    {"{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}", CONTENT, "",
     "response.output_text.delta"},
    {"{\"type\":\"response.output_text.delta\",\"delta\":\"\"}", 0, "",
     "response.output_text.delta"},
    {"{\"type\":\"response.completed\",\"response\":{\"usage\":{\"total_tokens\":1}}}", 0,
     "{\"total_tokens\":1}", "response.completed"},
    {"{\"usage\":{\"a\":1},\"response\":{\"usage\":{\"b\":1}}}", 0, "{\"a\":1}", ""},
    {"{\"response\":{\"usage\":{\"b\":1}},\"usage\":{\"a\":1}}", 0, "{\"a\":1}", ""},
    /* native */
    {"{\"content\":\"a\",\"stop\":false}", CONTENT, "", ""},
    {"{\"response\":\"a\",\"done\":false}", CONTENT, "", ""},
    {"{\"message\":{\"content\":\"a\"},\"done\":false}", CONTENT, "", ""},
    {" { \"choices\" : [ { \"delta\" : { \"content\" : \"a\" } , \"finish_reason\" : \"x\" } ] ,"
     " \"usage\" : { } } ", CHOICES | CONTENT | FINISH, "{ }", ""},
};

static void test_reads_chunks(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct chunk_view view;
        auto_free char *copy = NULL;
        if (!read_copy(str_of(chunks[i].data), &copy, &view))
            fail_msg("%s: is not read", chunks[i].data);
        if (flags_of(&view) != chunks[i].flags)
            fail_msg("%s: %u", chunks[i].data, flags_of(&view));
        assert_true(str_eq(view.usage, str_of(chunks[i].usage)));
        assert_true(str_eq(view.type, str_of(chunks[i].type)));
    }
}

static void test_gives_id_and_model(void **state)
{
    struct chunk_view view;
    assert_true(chunk_read(STR("{\"id\":\"c-1\",\"model\":\"m\",\"x\":{\"id\":\"no\"}}"), &view));
    assert_true(str_eq(view.id, STR("c-1")));
    assert_true(str_eq(view.model, STR("m")));
    assert_true(chunk_read(STR("{\"id\":1,\"model\":null}"), &view));
    assert_int_equal(view.id.len + view.model.len, 0);
}

static void test_refuses_other_data(void **state)
{
    static const char *const rows[] = {
        "",      "x",          "[]",          "[DONE",        "\"a\"",
        "{",     "{\"a\"",     "{\"a\":",     "{\"a\":1",     "{\"a\":}",
        "{a:1}", "{\"a\" 1}",  "{\"a\":\"b}", "{\"a\":[1,2}", "{\"choices\":[{\"delta\":{}",
        "{,",    "{\"a\":{\"", "{\"choices\":[", "{\"delta\":{\"content\":\"a}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chunk_view view = {.has_error = true};
        auto_free char *copy = NULL;
        if (read_copy(str_of(rows[i]), &copy, &view))
            fail_msg("%s: is read", rows[i]);
        assert_true(view.has_error); /* untouched */
    }
}

/* No cut of an event is read past its end (for the sanitizer). */
static void test_refuses_every_cut(void **state)
{
    struct str data = STR("{\"choices\":[{\"delta\":{\"content\":\"\\\\\\\"a\"},\"finish_reason\":"
                          "\"stop\"}],\"message\":{\"usage\":{}},\"usage\":{\"a\":[1,2]},"
                          "\"id\":\"\"}");
    for (size_t n = 0; n < data.len; n++) {
        struct chunk_view view;
        auto_free char *copy = NULL;
        assert_false(read_copy(str_sub(data.ptr, n), &copy, &view));
    }
}

static void check_timing(const char *data, const struct usage_timing *timing, const char *expected)
{
    struct buf out = {0};
    struct chunk_view view;
    assert_true(chunk_read(str_of(data), &view));
    usage_write_timing(str_of(data), &view, timing, &out);
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
}

static void test_writes_timing(void **state)
{
    static const struct usage_timing all = {12.3456, 150, 0.0004};
    static const struct usage_timing some = {-1, 7.25, -1};
    static const struct usage_timing none = {-1, 0.0 / 0.0, 1e300};
    check_timing("{\"usage\":{\"a\":1},\"b\":2}", &all,
                 "{\"usage\":{\"a\":1,\"tokens_per_second\":12.346,"
                 "\"time_to_first_token_ms\":150.000,\"time_per_output_token_ms\":0.000},"
                 "\"b\":2}");
    check_timing("{\"usage\":{}}", &some, "{\"usage\":{\"time_to_first_token_ms\":7.250}}");
    check_timing("{\"usage\":{ }}", &some, "{\"usage\":{ \"time_to_first_token_ms\":7.250}}");
    check_timing("{\"usage\":{\"a\":1 } }", &none, "{\"usage\":{\"a\":1 } }");
    check_timing("{\"usage\":{\"tokens_per_second\":9,\"x\":{\"time_to_first_token_ms\":1}}}", &all,
                 "{\"usage\":{\"tokens_per_second\":9,\"x\":{\"time_to_first_token_ms\":1},"
                 "\"time_to_first_token_ms\":150.000,\"time_per_output_token_ms\":0.000}}");
    check_timing("{\"response\":{\"usage\":{\"a\":1}}}", &some,
                 "{\"response\":{\"usage\":{\"a\":1,\"time_to_first_token_ms\":7.250}}}");
    check_timing("{\"usage\":null}", &all, "{\"usage\":null}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_chunks),       cmocka_unit_test(test_gives_id_and_model),
        cmocka_unit_test(test_refuses_other_data), cmocka_unit_test(test_refuses_every_cut),
        cmocka_unit_test(test_writes_timing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
