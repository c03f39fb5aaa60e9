/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/usage.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { NONE = -1 };

/* ---- however it is cut ---- */

static void feed_copy(struct usage_scan *scan, const char *ptr, size_t len)
{
    auto_free char *copy = mem_alloc(len); /* of exactly that size: reading past it is seen */
    memcpy(copy, ptr, len);
    usage_scan_feed(scan, str_sub(copy, len));
}

static bool scan_pieces(struct str body, size_t a, size_t b, struct usage *ret)
{
    struct usage_scan scan;
    usage_scan_init(&scan);
    feed_copy(&scan, body.ptr, a);
    feed_copy(&scan, body.ptr + a, b - a);
    feed_copy(&scan, body.ptr + b, body.len - b);
    return usage_scan_end(&scan, ret);
}

static bool scan_bytewise(struct str body, struct usage *ret)
{
    struct usage_scan scan;
    usage_scan_init(&scan);
    for (size_t i = 0; i < body.len; i++)
        feed_copy(&scan, body.ptr + i, 1);
    return usage_scan_end(&scan, ret);
}

static bool is_told(const struct usage *usage, int64_t prompt, int64_t cached, int64_t completion)
{
    return usage->has_prompt == (prompt != NONE) &&
           usage->has_completion == (completion != NONE) &&
           usage->prompt == (prompt == NONE ? 0 : prompt) && usage->cached == cached &&
           usage->completion == (completion == NONE ? 0 : completion);
}

static void check_all_cuts(const char *json, int64_t prompt, int64_t cached, int64_t completion)
{
    struct str body = str_of(json);
    struct usage usage = {0};
    bool told = prompt != NONE || completion != NONE;
    if (usage_read(body, &usage) != told || !is_told(&usage, prompt, cached, completion))
        fail_msg("%s: %" PRId64 " %" PRId64 " %" PRId64, json, usage.prompt, usage.cached,
                 usage.completion);
    usage = (struct usage){0};
    assert_int_equal(scan_bytewise(body, &usage), told);
    assert_true(is_told(&usage, prompt, cached, completion));
    for (size_t a = 0; a <= body.len; a++)
        for (size_t b = a; b <= body.len; b++) {
            usage = (struct usage){0};
            if (scan_pieces(body, a, b, &usage) != told ||
                !is_told(&usage, prompt, cached, completion))
                fail_msg("%s cut at %zu and %zu", json, a, b);
        }
}

struct row {
    const char *json;
    int64_t prompt, cached, completion;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_all_cuts(rows[i].json, rows[i].prompt, rows[i].cached, rows[i].completion);
}

/* ---- shapes ---- */

static void test_reads_openai(void **state)
{
    static const struct row rows[] = {
        {"{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}}",
         9, 0, 12},
        {"{\"id\":\"x\",\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\":{}\"}}],"
         "\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29,"
         "\"prompt_tokens_details\":{\"cached_tokens\":16,\"audio_tokens\":0},"
         "\"completion_tokens_details\":{\"reasoning_tokens\":3,\"cached_tokens\":99}}}",
         19, 16, 10},
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":9,"
         "\"completion_tokens\":2,\"prompt_tokens_details\":null}}", 7, 0, 2},
        {"{\"data\":[{\"embedding\":[0.1,-2e-3]}],\"usage\":{\"prompt_tokens\":8,"
         "\"total_tokens\":8}}", 8, 0, 0},
        {"{\"usage\":{\"prompt_tokens\":8,\"total_tokens\":11}}", 8, 0, 3},
        {"{\"usage\":{\"completion_tokens\":8,\"total_tokens\":11}}", 3, 0, 8},
        {"{\"usage\":{\"total_tokens\":11}}", 11, 0, 0},
        {"{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}", 0, 0, 0},
        {"{\"usage\":{\"prompt_tokens\":5}}", 5, 0, NONE},
        {"{\"usage\":{\"completion_tokens\":5}}", NONE, 0, 5},
        {"{\"usage\":{\"prompt_tokens\":5,\"total_tokens\":4}}", 5, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":7}}}", 5, 5,
         NONE},
        {"{\"usage\":{\"type\":\"duration\",\"seconds\":12}}", NONE, 0, NONE},
        {" {\n \"usage\" : { \"prompt_tokens\" : 9 , \"completion_tokens\" : 12 } } \n", 9, 0, 12},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_reads_responses_and_messages(void **state)
{
    static const struct row rows[] = {
        {"{\"object\":\"response\",\"usage\":{\"input_tokens\":36,\"input_tokens_details\":"
         "{\"cached_tokens\":30},\"output_tokens\":87,\"output_tokens_details\":"
         "{\"reasoning_tokens\":0},\"total_tokens\":123}}", 36, 30, 87},
        {"{\"type\":\"response.completed\",\"response\":{\"output\":[{\"usage\":1}],\"usage\":"
         "{\"input_tokens\":36,\"output_tokens\":87,\"total_tokens\":123}}}", 36, 0, 87},
        {"{\"type\":\"response.created\",\"response\":{\"usage\":null}}", NONE, 0, NONE},
        {"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":"
         "{\"input_tokens\":10,\"cache_creation_input_tokens\":20,"
         "\"cache_read_input_tokens\":300,\"output_tokens\":1}}}", 330, 300, 1},
        {"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":"
         "{\"output_tokens\":15}}", NONE, 0, 15},
        {"{\"type\":\"message\",\"usage\":{\"input_tokens\":12,\"output_tokens\":6}}", 12, 0, 6},
        {"{\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":"
         "{\"text_tokens\":0},\"output_tokens\":45,\"total_tokens\":59}}", 14, 0, 45},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_reads_engines(void **state)
{
    static const struct row rows[] = {
        /* llama.cpp: chat, native, and an older native without cache_n */
        {"{\"usage\":{\"completion_tokens\":4,\"prompt_tokens\":30,\"total_tokens\":34},"
         "\"timings\":{\"cache_n\":25,\"prompt_n\":5,\"predicted_n\":4,\"prompt_ms\":1.5}}",
         30, 25, 4},
        {"{\"choices\":[{}],\"timings\":{\"cache_n\":25,\"prompt_n\":5,\"predicted_n\":4}}", 30, 25,
         4},
        {"{\"content\":\"a\",\"tokens_predicted\":4,\"tokens_evaluated\":30,\"tokens_cached\":33,"
         "\"timings\":{\"prompt_n\":5,\"cache_n\":25,\"predicted_n\":4}}", 30, 25, 4},
        {"{\"content\":\"a\",\"tokens_predicted\":4,\"tokens_evaluated\":30,\"tokens_cached\":33,"
         "\"timings\":{\"prompt_n\":5,\"predicted_n\":4}}", 30, 25, 4},
        {"{\"tokens_evaluated\":3,\"timings\":{\"prompt_n\":5}}", 3, 0, NONE},
        {"{\"timings\":{\"prompt_n\":5,\"predicted_n\":4}}", 5, 0, 4},
        /* vLLM and SGLang */
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"total_tokens\":13,"
         "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":8}},"
         "\"prompt_logprobs\":null}", 11, 8, 2},
        {"{\"usage\":{\"prompt_tokens\":11,\"total_tokens\":13,\"completion_tokens\":2,"
         "\"prompt_tokens_details\":null,\"reasoning_tokens\":0}}", 11, 0, 2},
        {"{\"choices\":[{}],\"usage\":null}", NONE, 0, NONE},
        /* MindIE */
        {"{\"usage\":{\"batch_size\":[1,1,1],\"prompt_tokens\":31,\"queue_wait_time\":"
         "[5318,117,82],\"completion_tokens\":3,\"total_tokens\":34},\"prefill_time\":200,"
         "\"decode_time_arr\":[18,16]}", 31, 0, 3},
        /* rerank of Cohere and Jina */
        {"{\"results\":[],\"meta\":{\"billed_units\":{\"search_units\":1},\"tokens\":"
         "{\"input_tokens\":40,\"output_tokens\":0}}}", 40, 0, 0},
        {"{\"meta\":{\"billed_units\":{\"input_tokens\":25.0,\"output_tokens\":3.00}}}", 25, 0, 3},
        {"{\"meta\":{\"billed_units\":{\"input_tokens\":25},\"tokens\":{\"input_tokens\":90}}}", 90,
         0, NONE},
        {"{\"meta\":{\"billed_units\":{\"search_units\":1}}}", NONE, 0, NONE},
        {"{\"usage\":{\"billed_units\":{\"input_tokens\":5},\"tokens\":{\"input_tokens\":71,"
         "\"output_tokens\":6}}}", 71, 0, 6},
        {"{\"model\":\"j\",\"results\":[{\"index\":0,\"relevance_score\":0.9}],\"usage\":"
         "{\"total_tokens\":815}}", 815, 0, 0},
        /* Ollama: an object a line */
        {"{\"response\":\"a\",\"done\":false}\n{\"response\":\"\",\"done\":true,"
         "\"prompt_eval_count\":26,\"eval_count\":259}\n", 26, 0, 259},
        {"{\"message\":{\"content\":\"a\"},\"prompt_eval_count\":26,\"eval_count\":9}", 26, 0, 9},
        /* TEI: nothing */
        {"[{\"index\":0,\"score\":0.9,\"usage\":{\"prompt_tokens\":5}}]", NONE, 0, NONE},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_ignores_what_it_does_not_understand(void **state)
{
    static const struct row rows[] = {
        {"", NONE, 0, NONE},
        {"hello", NONE, 0, NONE},
        {"data: {\"usage\":{\"prompt_tokens\":5}}", NONE, 0, NONE},
        {"[DONE]", NONE, 0, NONE},
        {"{\"usage\":\"prompt_tokens\"}", NONE, 0, NONE},
        {"{\"usage\":[{\"prompt_tokens\":5}]}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":{\"x\":1}}}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1.5}}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":1e3,\"completion_tokens\":true}}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":99999999999999999999,\"completion_tokens\":2}}",
         NONE, 0, 2},
        {"{\"usage\":{\"prompt_tokens\":1099511627776}}", 1099511627776, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":1099511627777}}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":12.,\"completion_tokens\":.5}}", 12, 0, NONE},
        {"{\"a\":{\"usage\":{\"prompt_tokens\":5}}}", NONE, 0, NONE},
        {"{\"usage\":{\"x\":{\"prompt_tokens\":5}},\"prompt_tokens\":6}", NONE, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":5},\"usage\":null}", 5, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":5},\"usage\":{\"prompt_tokens\":6}}", 6, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1", 5, 0, NONE},
        {"{\"usage\":{\"prompt_tokens\":5,} , x", 5, 0, NONE},
        {"{\"usage\" {\"prompt_tokens\":5}}", NONE, 0, NONE},
        {"{\"a\":\"\\\\\\\"\",\"b\":\"}\",\"usage\":{\"prompt_tokens\":5}}", 5, 0, NONE},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* In the order of a stream: what comes later completes or replaces what came before. */
static void test_later_events_complete_earlier_ones(void **state)
{
    struct usage usage = {0};
    struct str start = STR("{\"message\":{\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}");
    assert_true(usage_read(start, &usage));
    assert_false(usage_read(STR("{\"type\":\"ping\"}"), &usage));
    assert_true(usage_read(STR("{\"usage\":{\"output_tokens\":40}}"), &usage));
    assert_true(is_told(&usage, 7, 0, 40));
}

/* A body in the way of embeddings: megabytes, then usage; nothing of it is kept. */
static void test_scans_long_bodies(void **state)
{
    struct usage_scan scan;
    struct usage usage = {0};
    usage_scan_init(&scan);
    usage_scan_feed(&scan, STR("{\"object\":\"list\",\"id\":\"emb-1\",\"data\":["));
    for (int i = 0; i < 100000; i++)
        usage_scan_feed(&scan, STR("{\"index\":0,\"embedding\":[-0.012345,0.9,\"x\\\\\\\"}]\"]},"));
    usage_scan_feed(&scan, STR("{}],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}"));
    assert_true(usage_scan_end(&scan, &usage));
    assert_true(is_told(&usage, 5, 0, 0));
    assert_string_equal(scan.id, "emb-1");
}

/* MindIE tells two numbers a token beside the usage. */
static void test_usage_may_be_long(void **state)
{
    struct buf json = {0};
    struct usage usage = {0};
    buf_add_cstr(&json, "{\"usage\":{\"prompt_tokens\":5,\"queue_wait_time\":[0");
    for (int i = 0; i < 20000; i++)
        buf_printf(&json, ",%d", i);
    buf_add_cstr(&json, "],\"completion_tokens\":20000}}");
    assert_true(usage_read(buf_str(&json), &usage));
    assert_true(is_told(&usage, 5, 0, 20000));
    buf_fini(&json);
}

static void test_id(void **state)
{
    static const struct {
        const char *json, *id;
    } rows[] = {
        {"{\"id\":\"resp_1\"}", "resp_1"},
        {"{\"id\":17}", ""},
        {"{\"id\":\"a\\\\b\"}", ""},
        {"{\"x\":{\"id\":\"no\"}}", ""},
        {"{\"response\":{\"id\":\"resp_2\"}}", "resp_2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct usage_scan scan;
        usage_scan_init(&scan);
        for (const char *p = rows[i].json; *p; p++)
            feed_copy(&scan, p, 1);
        assert_string_equal(scan.id, rows[i].id);
        usage_scan_init(&scan);
        usage_scan_feed(&scan, str_of(rows[i].json));
        assert_string_equal(scan.id, rows[i].id);
    }
}

static void check_id_of(size_t len, bool is_kept)
{
    struct buf json = {0};
    struct usage_scan scan;
    buf_add_cstr(&json, "{\"id\":\"");
    for (size_t i = 0; i < len; i++)
        buf_add_char(&json, 'x');
    buf_add_cstr(&json, "\"}");
    for (size_t cut = 0; cut < json.len; cut++) {
        usage_scan_init(&scan);
        feed_copy(&scan, json.ptr, cut);
        feed_copy(&scan, json.ptr + cut, json.len - cut);
        assert_int_equal(strlen(scan.id), is_kept ? len : 0);
    }
    buf_fini(&json);
}

static void test_limits_the_id(void **state)
{
    check_id_of(USAGE_ID_MAX, true);
    check_id_of(USAGE_ID_MAX + 1, false);
    check_id_of(400, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_openai),
        cmocka_unit_test(test_reads_responses_and_messages),
        cmocka_unit_test(test_reads_engines),
        cmocka_unit_test(test_ignores_what_it_does_not_understand),
        cmocka_unit_test(test_later_events_complete_earlier_ones),
        cmocka_unit_test(test_scans_long_bodies),
        cmocka_unit_test(test_usage_may_be_long),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_limits_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
