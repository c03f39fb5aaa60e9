/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way: what passes, what is taken out, what is counted, and how a stream ended. */
#include "gateway/stream_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define A "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
#define OF(index, finish) \
    "data: {\"choices\":[{\"index\":" #index ",\"delta\":{},\"finish_reason\":" finish "}]}\n\n"
#define END "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n"
#define DONE "data: [DONE]\n\n"

static void collect(struct str data, void *ctx)
{
    buf_add_str(ctx, data);
}

static const struct {
    enum operation operation;
    bool hides_usage;
    const char *in, *out;
    bool is_good;    /* how the end is taken when the engine ended properly */
    bool is_good_cut; /* and when it didn't */
    unsigned chunks;
    int64_t prompt, completion;
} cases[] = {
    {OPERATION_CHAT, true, A A END USAGE DONE, A A END DONE, true, true, 2, 9, 3},
    {OPERATION_CHAT, true, A A USAGE, A A, false, false, 2, 9, 3},
    {OPERATION_CHAT, true, A A, A A, false, false, 2, 0, 0},
    {OPERATION_CHAT, true, A END, A END, true, true, 1, 0, 0},
    /* several choices: the first that ends isn't the end */
    {OPERATION_CHAT, true, OF(0, "null") OF(1, "null") OF(0, "\"stop\""),
     OF(0, "null") OF(1, "null") OF(0, "\"stop\""), false, false, 0, 0, 0},
    {OPERATION_CHAT, true, OF(0, "\"stop\"") OF(1, "null") OF(1, "\"length\""),
     OF(0, "\"stop\"") OF(1, "null") OF(1, "\"length\""), true, true, 0, 0, 0},
    /* an event of two lines of data passes as it is */
    {OPERATION_CHAT, false,
     "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n" DONE,
     "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n" DONE,
     true, true, 0, 1, 0},
    {OPERATION_CHAT, true, ": ping\n\n" A DONE, ": ping\n\n" A DONE, true, true, 1, 0, 0},
    {OPERATION_CHAT, true, A "data: {\"choi", A, false, false, 1, 0, 0},
    {OPERATION_CHAT, true, A "data: {\"error\":{\"message\":\"x\"}}\n\n",
     A "data: {\"error\":{\"message\":\"x\"}}\n\n", true, true, 1, 0, 0},
    {OPERATION_CHAT, true, "data: not JSON\n\n", "data: not JSON\n\n", false, false, 0, 0, 0},
    {OPERATION_CHAT, true, "", "", false, false, 0, 0, 0},
    /* usage in the last chunk with a choice: it can't be taken out */
    {OPERATION_CHAT, true,
     "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":2}}\n\n",
     "data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":2}}\n\n",
     true, true, 0, 1, 2},
    {OPERATION_RESPONSES, true,
     "event: response.output_text.delta\n"
     "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
     "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{"
     "\"input_tokens\":4,\"output_tokens\":5}}}\n\n",
     "event: response.output_text.delta\n"
     "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
     "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{"
     "\"input_tokens\":4,\"output_tokens\":5}}}\n\n",
     true, true, 1, 4, 5},
    {OPERATION_MESSAGES, true, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", true, true, 0, 0, 0},
    {OPERATION_MESSAGES, true, "event: ping\ndata: {\"type\":\"ping\"}\n\n",
     "event: ping\ndata: {\"type\":\"ping\"}\n\n", false, false, 0, 0, 0},
    /* kinds that have no word for the end */
    {OPERATION_SPEECH, true, "data: x\n\n", "data: x\n\n", true, false, 0, 0, 0},
};

static void check(size_t i, size_t first, size_t second)
{
    struct str in = str_of(cases[i].in);
    const struct str pieces[] = {str_sub(in.ptr, first), str_sub(in.ptr + first, second),
                                 str_skip(in, first + second)};
    struct stream_filter filter;
    struct buf out = {0};
    stream_filter_init(&filter, cases[i].operation, cases[i].hides_usage, 1000);
    for (size_t k = 0; k < ARRAY_LEN(pieces); k++)
        stream_filter_feed(&filter, pieces[k], 2000, collect, &out);
    assert_string_equal(out.ptr ? out.ptr : "", cases[i].out);
    assert_int_equal(filter.content_chunks, cases[i].chunks);
    assert_int_equal(filter.usage.prompt, cases[i].prompt);
    assert_int_equal(filter.usage.completion, cases[i].completion);
    assert_int_equal(stream_filter_end(&filter, true), cases[i].is_good);
    assert_int_equal(stream_filter_end(&filter, false), cases[i].is_good_cut);
    stream_filter_fini(&filter);
    buf_fini(&out);
}

static void test_streams_cut_anywhere(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].in);
        for (size_t first = 0; first <= len; first++)
            for (size_t second = 0; first + second <= len; second += second < 3 ? 1 : 17)
                check(i, first, second);
    }
}

/* Pieces are passed on one by one: nothing waits for the next. */
static void test_each_event_leaves_at_once(void **state)
{
    struct stream_filter filter;
    struct buf out = {0};
    stream_filter_init(&filter, OPERATION_CHAT, true, 0);
    for (size_t i = 1; i <= 5; i++) {
        stream_filter_feed(&filter, STR(A), 1, collect, &out);
        assert_int_equal(out.len, i * strlen(A));
    }
    stream_filter_fini(&filter);
    buf_fini(&out);
}

static unsigned sends;

static void count_sends(struct str data, void *ctx)
{
    sends++;
}

static void test_what_came_together_leaves_together(void **state)
{
    struct stream_filter filter;
    stream_filter_init(&filter, OPERATION_CHAT, true, 0);
    sends = 0;
    stream_filter_feed(&filter, STR(A A A A), 1, count_sends, NULL);
    assert_int_equal(sends, 1);
    stream_filter_feed(&filter, STR(A USAGE A), 1, count_sends, NULL);
    assert_int_equal(sends, 3);
    stream_filter_fini(&filter);
}

static void test_times_are_added(void **state)
{
    struct stream_filter filter;
    struct buf out = {0};
    stream_filter_init(&filter, OPERATION_CHAT, false, 1000000);
    stream_filter_feed(&filter, STR(A), 1250000, collect, &out);
    stream_filter_feed(&filter, STR(A), 1500000, collect, &out);
    stream_filter_feed(&filter, STR(A), 2250000, collect, &out);
    buf_clear(&out);
    stream_filter_feed(&filter, STR(USAGE DONE), 2300000, collect, &out);
    assert_non_null(strstr(out.ptr, "\"time_to_first_token_ms\":250"));
    assert_non_null(strstr(out.ptr, "\"time_per_output_token_ms\":500"));
    assert_non_null(strstr(out.ptr, "\"tokens_per_second\":2"));
    assert_non_null(strstr(out.ptr, "\"completion_tokens\":3"));
    stream_filter_fini(&filter);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_cut_anywhere),
        cmocka_unit_test(test_each_event_leaves_at_once),
        cmocka_unit_test(test_what_came_together_leaves_together),
        cmocka_unit_test(test_times_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
