/* SPDX-License-Identifier: Apache-2.0 */
#include "anthropic_text.h"
#include "base/json.h"
#include "gateway/anthropic_queue_priv.h"
#include "gateway/anthropic_stream.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct anthropic_reply about = {.model = "claude-x", .request_id = "r1"};

/* Pieces of the engine's events. */
#define DELTA(members) "{'choices':[{'index':0,'delta':{" members "},'finish_reason':null}]}"
#define TEXT(text) DELTA("'content':'" text "'")
#define CALL(index, id, name, arguments)                                                           \
    DELTA("'tool_calls':[{'index':" #index ",'id':'" id "','type':'function','function':{'name':'" \
          name "','arguments':'" arguments "'}}]")
#define PIECE(index, arguments)                                                                    \
    DELTA("'tool_calls':[{'index':" #index ",'function':{'arguments':'" arguments "'}}]")
#define FINISH(reason) "{'choices':[{'index':0,'delta':{},'finish_reason':'" reason "'}]}"

/* --- what came out, in short ------------------------------------------------------------------ */

static void add_block_start(const json_t *event, struct buf *out)
{
    const json_t *block = json_object_get(event, "content_block");
    const char *name = json_member_string(block, "name");
    buf_printf(out, "[%d%s", (int)json_member_int(event, "index", -1),
               json_member_string(block, "type"));
    if (name)
        buf_printf(out, "(%s,%s)", json_member_string(block, "id"), name);
}

static void add_delta(const json_t *event, struct buf *out)
{
    static const char *const names[] = {"text", "thinking", "partial_json", "signature"};
    const json_t *delta = json_object_get(event, "delta");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_object_get(delta, names[i]))
            buf_printf(out, " %c<%s>", names[i][0], json_member_string(delta, names[i]));
}

static void add_end(const json_t *event, struct buf *out)
{
    const json_t *delta = json_object_get(event, "delta");
    const json_t *usage = json_object_get(event, "usage");
    const char *sequence = json_member_string(delta, "stop_sequence");
    buf_printf(out, "%s%s%s %d+%d/%d", json_member_string(delta, "stop_reason"),
               sequence ? "=" : "", sequence ? sequence : "",
               (int)json_member_int(usage, "input_tokens", -1),
               (int)json_member_int(usage, "cache_read_input_tokens", -1),
               (int)json_member_int(usage, "output_tokens", -1));
}

static void add_event(const char *type, const json_t *event, struct buf *out)
{
    const json_t *error = json_object_get(event, "error");
    assert_string_equal(json_member_string(event, "type"), type);
    if (strcmp(type, "message_start") == 0)
        buf_add_cstr(out, "{ ");
    else if (strcmp(type, "content_block_start") == 0)
        add_block_start(event, out);
    else if (strcmp(type, "content_block_delta") == 0)
        add_delta(event, out);
    else if (strcmp(type, "content_block_stop") == 0)
        buf_add_cstr(out, "] ");
    else if (strcmp(type, "message_delta") == 0)
        add_end(event, out);
    else if (strcmp(type, "message_stop") == 0)
        buf_add_cstr(out, " }");
    else
        buf_printf(out, "!%s: %s", json_member_string(error, "type"),
                   json_member_string(error, "message"));
}

/* Events as "{ [0text t<hi>] end_turn 0+0/0 }"; fails when one isn't well-formed. */
static void shorten(struct str events, struct buf *out)
{
    while (events.len > 0) {
        struct str type = {0}, data = {0};
        char name[40] = "";
        json_t *event;
        assert_true(str_split(&events, '\n', &type) && str_has_prefix(type, STR("event: ")));
        assert_true(str_split(&events, '\n', &data) && str_has_prefix(data, STR("data: ")));
        assert_true(events.len > 0 && events.ptr[0] == '\n');
        events = str_skip(events, 1);
        type = str_skip(type, strlen("event: "));
        assert_true(type.len < sizeof name);
        memcpy(name, type.ptr, type.len);
        assert_int_equal(json_read(str_skip(data, strlen("data: ")), &event, NULL), 0);
        add_event(name, event, out);
        json_decref(event);
    }
}

static void feed(struct anthropic_stream *stream, const char *event, struct buf *out)
{
    auto_free char *data = unquote(event);
    anthropic_stream_event(stream, str_of(data), out);
}

/* --- whole streams ---------------------------------------------------------------------------- */

enum { EVENTS_MAX = 14 };

static const struct {
    const char *events[EVENTS_MAX]; /* then the engine's end */
    const char *expected;
} streams[] = {
    {{DELTA("'role':'assistant','content':null"), TEXT("I"), TEXT(" am"), FINISH("stop"),
      "{'choices':[],'usage':{'prompt_tokens':9,'completion_tokens':2,'prompt_tokens_details':"
      "{'cached_tokens':4}}}",
      "[DONE]"},
     "{ [0text t<I> t< am>] end_turn 5+4/2 }"},
    {{TEXT("I"), FINISH("length"), " [DONE]\r"}, "{ [0text t<I>] max_tokens 0+0/0 }"},
    {{TEXT("I"), FINISH("stop")}, "{ [0text t<I>] end_turn 0+0/0 }"}, /* no [DONE] */
    {{"{'choices':[{'delta':{'content':'I'},'finish_reason':'stop','stop_reason':'##'}]}"},
     "{ [0text t<I>] stop_sequence=## 0+0/0 }"},
    {{FINISH("stop"), "[DONE]"}, "{ end_turn 0+0/0 }"},
    {{TEXT(" \\n"), FINISH("stop"), "[DONE]"}, "{ end_turn 0+0/0 }"},
    {{TEXT("\\n"), TEXT("a"), FINISH("stop"), "[DONE]"}, "{ [0text t<\na>] end_turn 0+0/0 }"},
    {{TEXT("a"), "{'choices':[{'index':1,'delta':{'content':'b'},'finish_reason':'stop'}]}",
      FINISH("content_filter"), "[DONE]"},
     "{ [0text t<a>] refusal 0+0/0 }"},
    {{TEXT("a"), FINISH("stop"), "[DONE]", TEXT("b"), "[DONE]"}, "{ [0text t<a>] end_turn 0+0/0 }"},
    {{TEXT("a"), "{'warning':'x'}", "{'choices':7}", "{'choices':[7]}", FINISH("stop")},
     "{ [0text t<a>] end_turn 0+0/0 }"},
    /* reasoning */
    {{DELTA("'reasoning_content':'h'"), DELTA("'reasoning_content':'m','reasoning':'m'"),
      DELTA("'content':'\\n\\n'"), TEXT("a"), FINISH("stop"), "[DONE]"},
     "{ [0thinking t<h> t<m> s<" ANTHROPIC_SIGNATURE ">] [1text t<\n\na>] end_turn 0+0/0 }"},
    {{DELTA("'reasoning':'h'"), CALL(0, "c", "f", "{}"), DELTA("'reasoning':'i'"), TEXT("a"),
      FINISH("tool_calls")},
     "{ [0thinking t<h> s<" ANTHROPIC_SIGNATURE ">] [1tool_use(c,f) p<{}>] [2thinking t<i> s<"
     ANTHROPIC_SIGNATURE ">] [3text t<a>] tool_use 0+0/0 }"},
    /* calls */
    {{TEXT("a"), TEXT("\\n"), CALL(0, "c", "f", ""), PIECE(0, "{\\'a"), FINISH("length")},
     "{ [0text t<a> t<\n>] [1tool_use(c,f) p<{\"a>] max_tokens 0+0/0 }"},
    {{TEXT("\\n"), CALL(0, "c", "f", "{"), PIECE(0, ""), PIECE(0, "}"), CALL(1, "d", "g", "{}"),
      FINISH("stop"), "[DONE]"},
     "{ [0tool_use(c,f) p<{> p<}>] [1tool_use(d,g) p<{}>] tool_use 0+0/0 }"},
    {{CALL(0, "", "f", "{}"), FINISH("tool_calls")},
     "{ [0tool_use(toolu_r1_0,f) p<{}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", ""), CALL(1, "d", "g", ""), FINISH("tool_calls")},
     "{ [0tool_use(c,f)] [1tool_use(d,g)] tool_use 0+0/0 }"},
    /* mixed: the second waits until the first is whole */
    {{CALL(0, "c", "f", ""), CALL(1, "d", "g", ""), PIECE(1, "{\\'x"), PIECE(0, "{\\'}"),
      PIECE(1, "\\':[]"), PIECE(0, "\\\\\\\\\\\\\\'}\\':1}"), PIECE(1, "}"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{\"}> p<\\\\\\\"}\":1}>] "
     "[1tool_use(d,g) p<{\"x\":[]> p<}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", "{"), TEXT("a"), PIECE(0, "}"), TEXT("b"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{> p<}>] [1text t<a> t<b>] tool_use 0+0/0 }"},
    /* all numbered 0, or the id in each piece */
    {{CALL(0, "c", "f", "{}"), CALL(0, "d", "g", "{}"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{}>] [1tool_use(d,g) p<{}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", "{"), CALL(0, "c", "f", "}"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{> p<}>] tool_use 0+0/0 }"},
    /* the name comes late */
    {{DELTA("'tool_calls':[{'id':'c','function':{'arguments':'{'}}]"),
      DELTA("'tool_calls':[{'function':{'name':'f','arguments':'}'}}]"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{}>] tool_use 0+0/0 }"},
    /* arguments as an object; something behind them; none at all */
    {{DELTA("'tool_calls':[{'id':'c','function':{'name':'f','arguments':{'a':{'b':0.1}}}}]"),
      FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{\"a\":{\"b\":0.1}}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", " {} {}"), PIECE(0, "x"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p< {}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", "oops}"), PIECE(0, "{"), CALL(1, "d", "g", "{}"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<oops}> p<{>] [1tool_use(d,g) p<{}>] tool_use 0+0/0 }"},
    {{CALL(0, "c", "f", "{]]]"), FINISH("tool_calls")},
     "{ [0tool_use(c,f) p<{]>] tool_use 0+0/0 }"},
    /* failures */
    {{NULL}, "!api_error: the engine's response ended before it was complete"},
    {{"[DONE]"}, "!api_error: the engine's response ended before it was complete"},
    {{TEXT("a")}, "{ [0text t<a>!api_error: the engine's response ended before it was complete"},
    {{TEXT("a"), "[DONE]"},
     "{ [0text t<a>!api_error: the engine's response ended before it was complete"},
    {{TEXT("a"), "{'error':{'message':'boom','code':503}}", TEXT("b")},
     "{ [0text t<a>!overloaded_error: boom"},
    {{"{'error':{'message':'boom','code':'x'}}"}, "!api_error: boom"},
    {{"{'object':'error','message':'boom','code':400}"}, "!invalid_request_error: boom"},
    {{"{'error':'boom'}"}, "!api_error: boom"},
    {{"x"}, "!api_error: an event of the engine's response: line 1 column 1: '[' or '{' expected "
            "near 'x'"},
    {{"[]"}, "!api_error: an event of the engine's response: a JSON object is expected, not an "
             "array"},
    {{DELTA("'tool_calls':[{'id':'c'}]"), FINISH("tool_calls")},
     "{ !api_error: the engine's tool call 0 has no name"},
};

/* An error is a fault, unless the engine told it: then it says "boom". */
static void expect_fault(const struct anthropic_stream *stream, const char *expected)
{
    const char *error = strchr(expected, '!');
    if (!error || strstr(error, "boom"))
        assert_null(anthropic_stream_fault(stream));
    else
        assert_string_equal(anthropic_stream_fault(stream), strstr(error, ": ") + 2);
}

static void expect_stream(const char *const *events, const char *expected)
{
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    struct buf out = {0}, seen = {0};
    for (size_t i = 0; i < EVENTS_MAX && events[i]; i++)
        feed(stream, events[i], &out);
    anthropic_stream_end(stream, &out);
    assert_true(anthropic_stream_is_complete(stream));
    anthropic_stream_end(stream, &out); /* nothing more */
    shorten(buf_str(&out), &seen);
    assert_string_equal(seen.ptr, expected);
    expect_fault(stream, expected);
    anthropic_stream_free(stream);
    buf_fini(&out);
    buf_fini(&seen);
}

static void test_streams(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        expect_stream(streams[i].events, streams[i].expected);
}

/* One stream byte for byte. */
static void test_writes_the_dialect(void **state)
{
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    struct buf out = {0};
    feed(stream, TEXT("hi"), &out);
    feed(stream, FINISH("stop"), &out);
    feed(stream, "[DONE]", &out);
    auto_free char *expected = unquote(
        "event: message_start\ndata: {'type':'message_start','message':{'id':'msg_r1','type':"
        "'message','role':'assistant','model':'claude-x','content':[],'stop_reason':null,"
        "'stop_sequence':null,'usage':{'input_tokens':0,'cache_creation_input_tokens':0,"
        "'cache_read_input_tokens':0,'output_tokens':0}}}\n\n"
        "event: content_block_start\ndata: {'type':'content_block_start','index':0,"
        "'content_block':{'type':'text','text':''}}\n\n"
        "event: content_block_delta\ndata: {'type':'content_block_delta','index':0,'delta':"
        "{'type':'text_delta','text':'hi'}}\n\n"
        "event: content_block_stop\ndata: {'type':'content_block_stop','index':0}\n\n"
        "event: message_delta\ndata: {'type':'message_delta','delta':{'stop_reason':'end_turn',"
        "'stop_sequence':null},'usage':{'input_tokens':0,'cache_creation_input_tokens':0,"
        "'cache_read_input_tokens':0,'output_tokens':0}}\n\n"
        "event: message_stop\ndata: {'type':'message_stop'}\n\n");
    assert_string_equal(out.ptr, expected);
    anthropic_stream_free(stream);
    buf_fini(&out);
}

/* What the engine has said goes out with the event that said it. */
static void test_holds_nothing_back(void **state)
{
    static const struct {
        const char *event, *expected;
    } steps[] = {
        {DELTA("'reasoning':'h'"), "{ [0thinking t<h>"},
        {TEXT("a"), " s<" ANTHROPIC_SIGNATURE ">] [1text t<a>"},
        {TEXT("b"), " t<b>"},
        {CALL(0, "c", "f", "{"), "] [2tool_use(c,f) p<{>"},
        {PIECE(0, "}"), " p<}>"},
        {CALL(1, "d", "g", ""), "] [3tool_use(d,g)"},
    };
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buf out = {0}, seen = {0};
        feed(stream, steps[i].event, &out);
        shorten(buf_str(&out), &seen);
        assert_string_equal(seen.ptr, steps[i].expected);
        buf_fini(&out);
        buf_fini(&seen);
    }
    anthropic_stream_free(stream);
}

static void test_fails_once(void **state)
{
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    struct buf out = {0}, seen = {0};
    anthropic_stream_fail(stream, "timeout_error", STR("late"), &out);
    anthropic_stream_fail(stream, "timeout_error", STR("later"), &out);
    anthropic_stream_end(stream, &out);
    shorten(buf_str(&out), &seen);
    assert_string_equal(seen.ptr, "!timeout_error: late");
    anthropic_stream_free(stream);
    buf_fini(&out);
    buf_fini(&seen);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* The last part of what a stream gave for `event`, once it fails; NULL when it never does. */
static bool fails_within(const char *first, const char *event, size_t count, const char *text)
{
    struct anthropic_stream *stream = anthropic_stream_new(&about);
    struct buf out = {0};
    feed(stream, first, &out);
    for (size_t i = 0; i < count && !anthropic_stream_is_complete(stream); i++) {
        buf_clear(&out);
        feed(stream, event, &out);
    }
    bool failed = anthropic_stream_is_complete(stream);
    assert_true(!failed || strstr(out.ptr, text));
    anthropic_stream_free(stream);
    buf_fini(&out);
    return failed;
}

static void test_limits_blocks(void **state)
{
    static const char two[] = DELTA("'reasoning':'h','content':'a'");
    static const char text[] = "more than 1024 blocks";
    assert_false(fails_within(two, two, ANTHROPIC_BLOCKS_MAX / 2 - 1, text));
    assert_true(fails_within(two, two, ANTHROPIC_BLOCKS_MAX / 2, text));
}

static void test_limits_what_waits(void **state)
{
    enum { PIECE_BYTES = 1 << 19 };
    struct buf event = repeat("{'choices':[{'delta':{'content':'", PIECE_BYTES, "x", "'}}]}");
    size_t count = ANTHROPIC_HELD_MAX / PIECE_BYTES;
    assert_false(fails_within(CALL(0, "c", "f", "{"), event.ptr, count, "wait for a call"));
    assert_true(fails_within(CALL(0, "c", "f", "{"), event.ptr, count + 1, "wait for a call"));
    assert_false(fails_within(TEXT("a"), event.ptr, count + 1, "")); /* nothing waits */
    buf_fini(&event);
}

static void test_limits_names(void **state)
{
    struct buf event = repeat("{'choices':[{'delta':{'tool_calls':[{'function':{'name':'",
                              ANTHROPIC_CALL_NAME_MAX + 1, "x", "'}}]}}]}");
    assert_true(fails_within(TEXT("a"), event.ptr, 1, "longer than 1024"));
    buf_fini(&event);
}

static void test_limits_an_event(void **state)
{
    struct buf event = repeat("{'x':'", ANTHROPIC_EVENT_MAX, "x", "'}");
    assert_true(fails_within(TEXT("a"), event.ptr, 1, "larger than 1048576"));
    buf_fini(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),          cmocka_unit_test(test_writes_the_dialect),
        cmocka_unit_test(test_holds_nothing_back), cmocka_unit_test(test_fails_once),
        cmocka_unit_test(test_limits_blocks),    cmocka_unit_test(test_limits_what_waits),
        cmocka_unit_test(test_limits_names),     cmocka_unit_test(test_limits_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
