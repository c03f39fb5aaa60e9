/* SPDX-License-Identifier: Apache-2.0 */
#include "anthropic_text.h"
#include "gateway/anthropic_error.h"
#include "gateway/anthropic_priv.h"
#include "gateway/anthropic_response.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct anthropic_reply about = {.model = "claude-x", .request_id = "r1"};

#define HEAD "{'id':'msg_r1','type':'message','role':'assistant','model':'claude-x','content':"
#define NO_USAGE                                                                                   \
    "'usage':{'input_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,"       \
    "'output_tokens':0}}"
#define END "'stop_reason':'end_turn','stop_sequence':null," NO_USAGE

/* Content and what follows, from choices[0] and what follows. */
static const struct {
    const char *choice, *message;
} rows[] = {
    {"{'message':{'content':'hi'},'finish_reason':'stop'}", "[{'type':'text','text':'hi'}]," END},
    {"{'message':{'content':null},'finish_reason':'stop'}", "[]," END},
    {"{'message':{},'finish_reason':null}", "[]," END},
    {"{'message':{'content':' \\n'},'finish_reason':'stop'}", "[]," END},
    {"{'message':{'content':7},'finish_reason':'stop'}", "[]," END},
    {"{'message':{'content':[{'type':'text','text':'a'},{'type':'text','text':'b'},3]},"
     "'finish_reason':'stop'}",
     "[{'type':'text','text':'ab'}]," END},
    {"{'message':{'content':null,'refusal':'no'},'finish_reason':'stop'}",
     "[{'type':'text','text':'no'}]," END},
    {"{'message':{'refusal':'no'},'finish_reason':'stop'}", "[{'type':'text','text':'no'}]," END},
    {"{'message':{'content':'\\u0000'},'finish_reason':'stop'}",
     "[{'type':'text','text':'\\u0000'}]," END},
    /* reasoning */
    {"{'message':{'content':'hi','reasoning_content':'hm'},'finish_reason':'stop'}",
     "[{'type':'thinking','thinking':'hm','signature':'" ANTHROPIC_SIGNATURE "'},"
     "{'type':'text','text':'hi'}]," END},
    {"{'message':{'content':'','reasoning':'hm','reasoning_content':'hm'},'finish_reason':'stop'}",
     "[{'type':'thinking','thinking':'hm','signature':'" ANTHROPIC_SIGNATURE "'}]," END},
    /* how it ended */
    {"{'message':{},'finish_reason':'length'}",
     "[],'stop_reason':'max_tokens','stop_sequence':null," NO_USAGE},
    {"{'message':{},'finish_reason':'content_filter'}",
     "[],'stop_reason':'refusal','stop_sequence':null," NO_USAGE},
    {"{'message':{},'finish_reason':'something'}", "[]," END},
    {"{'message':{},'finish_reason':'stop','stop_reason':'###'}",
     "[],'stop_reason':'stop_sequence','stop_sequence':'###'," NO_USAGE},
    {"{'message':{},'finish_reason':'stop','stop_reason':151645}", "[]," END},
    {"{'message':{},'finish_reason':'stop','matched_stop':'x'}",
     "[],'stop_reason':'stop_sequence','stop_sequence':'x'," NO_USAGE},
    {"{'message':{},'finish_reason':'length','stop_reason':'x'}",
     "[],'stop_reason':'max_tokens','stop_sequence':null," NO_USAGE},
    /* usage */
    {"{'message':{},'finish_reason':'stop'}],'usage':{'prompt_tokens':10,'completion_tokens':3,"
     "'prompt_tokens_details':{'cached_tokens':4},'completion_tokens_details':"
     "{'reasoning_tokens':2}},'x':[",
     "[],'stop_reason':'end_turn','stop_sequence':null,'usage':{'input_tokens':6,"
     "'cache_creation_input_tokens':0,'cache_read_input_tokens':4,'output_tokens':3,"
     "'output_tokens_details':{'thinking_tokens':2}}}"},
    {"{'message':{},'finish_reason':'stop'}],'usage':{'prompt_tokens':10,'completion_tokens':-3,"
     "'prompt_tokens_details':{'cached_tokens':40},'completion_tokens_details':null},'x':[",
     "[],'stop_reason':'end_turn','stop_sequence':null,'usage':{'input_tokens':0,"
     "'cache_creation_input_tokens':0,'cache_read_input_tokens':10,'output_tokens':0}}"},
    {"{'message':{},'finish_reason':'stop'}],'usage':[1],'x':[", "[]," END},
};

static void expect_message(const char *choice, const char *expected)
{
    struct buf message = {0};
    struct err err = {0};
    auto_free char *chat = mem_printf("{'choices':[%s]}", choice);
    auto_free char *body = unquote(chat);
    auto_free char *whole = mem_printf(HEAD "%s", expected);
    auto_free char *wanted = unquote(whole);
    if (anthropic_response_from_chat(str_of(body), &about, &message, &err) < 0)
        fail_msg("%s: %s", body, err.text);
    assert_string_equal(message.ptr, wanted);
    buf_fini(&message);
}

static void test_translates(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_message(rows[i].choice, rows[i].message);
}

/* Arguments as engines write them, and the input that becomes of them. */
static void test_reads_arguments(void **state)
{
    static const struct {
        const char *arguments, *input;
    } calls[] = {
        {"'{\\'a\\':[1,0.1,{\\'b\\':null}]}'", "{'a':[1,0.1,{'b':null}]}"},
        {"{'a':1}", "{'a':1}"},
        {"''", "{}"},
        {"' \\n'", "{}"},
        {"null", "{}"},
        {"7", "{}"},
        {"'{\\'a\\':'", "{'unparsed_arguments':'{\\'a\\':'}"},
        {"'[1]'", "{'unparsed_arguments':'[1]'}"},
        {"'{\\'a\\':1,\\'a\\':2}'", "{'unparsed_arguments':'{\\'a\\':1,\\'a\\':2}'}"},
        {"'{} x'", "{'unparsed_arguments':'{} x'}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        auto_free char *choice =
            mem_printf("{'message':{'content':'\\n','tool_calls':[{'id':'c','type':'function',"
                       "'function':{'name':'f','arguments':%s}},{'function':{'name':'g'}}]},"
                       "'finish_reason':'%s'}",
                       calls[i].arguments, i % 2 ? "stop" : "tool_calls");
        auto_free char *message =
            mem_printf("[{'type':'tool_use','id':'c','name':'f','input':%s},{'type':'tool_use',"
                       "'id':'toolu_r1_1','name':'g','input':{}}],'stop_reason':'tool_use',"
                       "'stop_sequence':null," NO_USAGE,
                       calls[i].input);
        expect_message(choice, message);
    }
}

/* Arguments nested too deeply for the document that they would stand in. */
static void test_keeps_deep_arguments_as_text(void **state)
{
    struct buf message = {0};
    struct buf body = repeat("{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"c\","
                             "\"function\":{\"name\":\"f\",\"arguments\":\"",
                             ANTHROPIC_DEPTH_MAX, "{\\\"a\\\":", "{}");
    for (size_t i = 0; i < ANTHROPIC_DEPTH_MAX; i++)
        buf_add_char(&body, '}');
    buf_add_cstr(&body, "\"}}]}}]}");
    assert_int_equal(anthropic_response_from_chat(buf_str(&body), &about, &message, NULL), 0);
    assert_non_null(strstr(message.ptr, "\"unparsed_arguments\":\"{\\\"a\\\":{"));
    buf_fini(&message);
    buf_fini(&body);
}

static void test_refuses(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *text;
    } bad[] = {
        {"", ERR_SYNTAX, "the engine's response: line 1"},
        {"<html>", ERR_SYNTAX, "the engine's response: line 1"},
        {"[]", ERR_SYNTAX, "a JSON object is expected"},
        {"{}", ERR_PROTOCOL, "no choices[0].message"},
        {"{'choices':{}}", ERR_PROTOCOL, "no choices[0].message"},
        {"{'choices':[]}", ERR_PROTOCOL, "no choices[0].message"},
        {"{'choices':[{'message':'x'}]}", ERR_PROTOCOL, "no choices[0].message"},
        {"{'error':{'message':'boom'}}", ERR_PROTOCOL, "answered with an error: boom"},
        {"{'object':'error','message':'boom'}", ERR_PROTOCOL, "answered with an error: boom"},
        {"{'error':{}}", ERR_PROTOCOL, "failed without a message"},
        {"{'choices':[{'message':{'tool_calls':[{}]}}]}", ERR_PROTOCOL, "tool call 0 has no name"},
        {"{'choices':[{'message':{'tool_calls':[3]}}]}", ERR_PROTOCOL, "tool call 0 has no name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf message = {0};
        struct err err = {0};
        auto_free char *body = unquote(bad[i].body);
        int rc = anthropic_response_from_chat(str_of(body), &about, &message, &err);
        if (rc != bad[i].code || !strstr(err.text, bad[i].text))
            fail_msg("%s: %d %s", body, rc, err.text);
        assert_null(message.ptr);
    }
}

static void test_counts(void **state)
{
    struct buf count = {0};
    assert_int_equal(anthropic_count_from_tokenize(
                         STR("{\"count\":12,\"max_model_len\":9,\"tokens\":[1,2]}"), &count, NULL),
                     0);
    assert_string_equal(count.ptr, "{\"input_tokens\":12}");
    buf_fini(&count);
    assert_int_equal(anthropic_count_from_tokenize(STR("{\"tokens\":[]}"), &count, NULL),
                     ERR_PROTOCOL);
    assert_int_equal(anthropic_count_from_tokenize(STR("{\"count\":-1}"), &count, NULL),
                     ERR_PROTOCOL);
    assert_int_equal(anthropic_count_from_tokenize(STR("x"), &count, NULL), ERR_SYNTAX);
    assert_null(count.ptr);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void test_translates_errors(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *type, *message;
    } errors[] = {
        {400, "{'error':{'message':'m','type':'x'}}", "invalid_request_error", "m"},
        {400, "{'error':'m'}", "invalid_request_error", "m"},
        {400, "{'object':'error','message':'m'}", "invalid_request_error", "m"},
        {422, "{'detail':[{'loc':['body'],'msg':'m'}]}", "invalid_request_error", "m"},
        {404, "{'detail':'Not Found'}", "not_found_error", "Not Found"},
        {401, "{'message':'m'}", "authentication_error", "m"},
        {402, "{'message':'m'}", "billing_error", "m"},
        {403, "{'message':'m'}", "permission_error", "m"},
        {413, "{'message':'m'}", "request_too_large", "m"},
        {429, "{'message':'m'}", "rate_limit_error", "m"},
        {500, "{'message':'m'}", "api_error", "m"},
        {502, " text \\n", "api_error", "the engine answered with status 502: text \\\\n"},
        {502, "<html>", "api_error", "the engine answered with status 502"},
        {503, "", "overloaded_error", "the engine answered with status 503"},
        {503, "{'error':{}}", "overloaded_error",
         "the engine answered with status 503: {\\'error\\':{}}"},
        {529, "{'message':'m'}", "overloaded_error", "m"},
        {504, "x\xff", "timeout_error", "the engine answered with status 504: x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct buf out = {0};
        auto_free char *body = unquote(errors[i].body);
        auto_free char *text = mem_printf("{'type':'error','error':{'type':'%s','message':'%s'},"
                                          "'request_id':'r1'}",
                                          errors[i].type, errors[i].message);
        auto_free char *expected = unquote(text);
        anthropic_error_from_engine(errors[i].status, str_of(body), "r1", &out);
        assert_string_equal(out.ptr, expected);
        buf_fini(&out);
    }
}

static void test_clips_an_error_page(void **state)
{
    struct buf body = repeat("", 3000, "\xe2\x82\xac", "");
    struct buf out = {0};
    anthropic_error_from_engine(500, buf_str(&body), NULL, &out);
    assert_true(out.len < 700);
    assert_non_null(strstr(out.ptr, "\xe2\x82\xac\"},\"request_id\":null}"));
    buf_fini(&out);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translates),
        cmocka_unit_test(test_reads_arguments),
        cmocka_unit_test(test_keeps_deep_arguments_as_text),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_translates_errors),
        cmocka_unit_test(test_clips_an_error_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
