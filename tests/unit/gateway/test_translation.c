/* SPDX-License-Identifier: Apache-2.0 */
#include "anthropic_text.h"
#include "gateway/translation.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HELLO "{'model':'m','max_tokens':1,'messages':[{'role':'user','content':'hi'}]}"
#define EVENT(text) "data: {'choices':[{'index':0,'delta':{'content':'" text "'}}]}\n\n"
#define FINISH "data: {'choices':[{'index':0,'delta':{},'finish_reason':'stop'}]}\n\n"
#define BROKEN_OFF "the engine's response ended before it was complete"

static struct translation *make(enum operation operation, const char *body)
{
    static const struct request_id id = {.text = "r1"};
    struct err err = {0};
    struct translation *t = translation_new(operation, "claude", &id);
    auto_free char *json = unquote(body);
    if (translation_read(t, str_of(json), &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

static void expect_in(const struct buf *text, const char *part)
{
    auto_free char *json = unquote(part);
    if (!text->ptr || !strstr(text->ptr, json))
        fail_msg("'%s' is not in: %s", json, text->ptr ? text->ptr : "");
}

/* --- the request ------------------------------------------------------------------------------ */

static void expect_body(struct translation *t, const char *served_name, const char *expected)
{
    struct http_body body = translation_body(t, served_name);
    struct buf whole = {0};
    for (unsigned i = 0; i < body.count; i++)
        buf_add_str(&whole, body.parts[i]);
    auto_free char *json = unquote(expected);
    assert_string_equal(whole.ptr, json);
    buf_fini(&whole);
}

static void test_one_body_for_all_instances(void **state)
{
    struct translation *t = make(OPERATION_MESSAGES, HELLO);
    assert_string_equal(translation_path(t), "/v1/chat/completions");
    expect_body(t, "a", "{'model':'a','messages':[{'role':'user','content':'hi'}],'max_tokens':1}");
    expect_body(t, "b\n",
                "{'model':'b\\n','messages':[{'role':'user','content':'hi'}],'max_tokens':1}");
    translation_free(t);
    t = make(OPERATION_COUNT_TOKENS, HELLO);
    assert_string_equal(translation_path(t), "/tokenize");
    expect_body(t, "a", "{'model':'a','messages':[{'role':'user','content':'hi'}]}");
    translation_drop_body(t);
    translation_free(t);
    translation_free(NULL);
}

static void test_refuses_what_cant_be_read(void **state)
{
    static const struct request_id id = {.text = "r1"};
    struct err err = {0};
    struct translation *t = translation_new(OPERATION_MESSAGES, "claude", &id);
    assert_int_equal(translation_read(t, STR("{\"messages\":[]}"), &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "at least one message"));
    assert_int_equal(translation_read(t, STR(""), &err), ERR_SYNTAX);
    translation_free(t);
}

/* --- a response that isn't events ------------------------------------------------------------- */

static void expect_whole(enum operation operation, unsigned status, const char *response,
                         unsigned expected_status, const char *expected)
{
    struct translation *t = make(operation, HELLO);
    struct buf out = {0};
    auto_free char *json = unquote(response);
    for (const char *c = json; *c; c++) /* however it was cut */
        assert_true(translation_keep(t, str_sub(c, 1)));
    assert_int_equal(translation_finish(t, status, &out), expected_status);
    expect_in(&out, expected);
    buf_fini(&out);
    translation_free(t);
}

static void test_whole_responses(void **state)
{
    static const char chat[] = "{'choices':[{'message':{'content':'ho'},'finish_reason':'stop'}]}";
    expect_whole(OPERATION_MESSAGES, 200, chat, 200,
                 "{'id':'msg_r1','type':'message','role':'assistant','model':'claude','content':"
                 "[{'type':'text','text':'ho'}],'stop_reason':'end_turn'");
    expect_whole(OPERATION_COUNT_TOKENS, 200, "{'count':7}", 200, "{'input_tokens':7}");
    expect_whole(OPERATION_MESSAGES, 404, "{'error':{'message':'no such model'}}", 404,
                 "{'type':'error','error':{'type':'not_found_error','message':'no such model'},"
                 "'request_id':'r1'}");
    expect_whole(OPERATION_MESSAGES, 200, "ho", 502,
                 "{'type':'error','error':{'type':'api_error','message':'");
    expect_whole(OPERATION_COUNT_TOKENS, 200, chat, 502, "has no count of tokens");
}

static void test_keeps_so_much_of_a_response(void **state)
{
    struct translation *t = make(OPERATION_MESSAGES, HELLO);
    struct buf piece = repeat("", TRANSLATION_RESPONSE_MAX / 2, "x", "");
    assert_true(translation_keep(t, buf_str(&piece)));
    assert_true(translation_keep(t, buf_str(&piece)));
    assert_false(translation_keep(t, STR("x")));
    buf_fini(&piece);
    translation_free(t);
}

/* --- events ----------------------------------------------------------------------------------- */

static void feed(struct translation *t, const char *events, struct buf *out)
{
    auto_free char *json = unquote(events);
    translation_feed(t, str_of(json), out);
}

static void test_events(void **state)
{
    struct translation *t = make(OPERATION_MESSAGES, HELLO);
    struct buf out = {0};
    feed(t, EVENT("h") ": comment\n\ndata: {'choices':[{'index':0,'delta':", &out);
    expect_in(&out, "'model':'claude'");
    expect_in(&out, "'text_delta','text':'h'");
    feed(t, "{'content':'o'}}]}\n\n" FINISH "data: [DONE]\n\n", &out);
    expect_in(&out, "'text_delta','text':'o'");
    expect_in(&out, "{'type':'message_stop'}\n\n");
    size_t len = out.len;
    translation_end(t, &out);
    translation_fail(t, 502, "late", &out);
    assert_int_equal(out.len, len);
    assert_null(translation_fault(t));
    buf_fini(&out);
    translation_free(t);
}

/* Feeds the events and ends the stream; the client must be told `text`, in the one last event. */
static void expect_error(const char *events, const char *text, bool is_fault)
{
    struct translation *t = make(OPERATION_MESSAGES, HELLO);
    struct buf out = {0};
    assert_null(translation_fault(t));
    feed(t, events, &out);
    translation_end(t, &out);
    auto_free char *front = unquote("event: error\ndata: {'type':'error','error':{'type':"
                                    "'api_error','message':'");
    auto_free char *back = unquote("'},'request_id':'r1'}\n\n");
    auto_free char *expected = mem_printf("%s%s%s", front, text, back);
    if (!str_has_suffix(buf_str(&out), str_of(expected)))
        fail_msg("'%s' is not the end of: %s", expected, out.ptr);
    assert_int_equal(translation_fault(t) != NULL, is_fault);
    assert_true(!is_fault || strcmp(translation_fault(t), text) == 0);
    buf_fini(&out);
    translation_free(t);
}

static void test_streams_that_break(void **state)
{
    expect_error("", BROKEN_OFF, true);
    expect_error(EVENT("h"), BROKEN_OFF, true);
    expect_error(EVENT("h") "data: [DONE]\n\n", BROKEN_OFF, true);
    expect_error(EVENT("h") "data: {'error':{'message':'boom'}}\n\n" EVENT("o"), "boom", false);
}

/* An event that is too large to be looked into ends the stream; what follows is not told. */
static void test_limits_an_event(void **state)
{
    static const char text[] = "an event of the engine's response is larger than 1048576 bytes";
    struct translation *t = make(OPERATION_MESSAGES, HELLO);
    struct buf out = {0};
    struct buf large = repeat("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
                              SSE_EVENT_MAX, "x", "\"}}]}\n\n");
    feed(t, EVENT("h"), &out);
    translation_feed(t, str_sub(large.ptr, large.len / 2), &out);
    assert_null(translation_fault(t));
    translation_feed(t, str_skip(buf_str(&large), large.len / 2), &out);
    assert_string_equal(translation_fault(t), text);
    assert_non_null(strstr(out.ptr, text));
    size_t len = out.len;
    feed(t, EVENT("o") FINISH "data: [DONE]\n\n", &out);
    translation_end(t, &out);
    assert_int_equal(out.len, len);
    buf_fini(&large);
    buf_fini(&out);
    translation_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_body_for_all_instances),
        cmocka_unit_test(test_refuses_what_cant_be_read),
        cmocka_unit_test(test_whole_responses),
        cmocka_unit_test(test_keeps_so_much_of_a_response),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_streams_that_break),
        cmocka_unit_test(test_limits_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
