/* SPDX-License-Identifier: Apache-2.0 */
/* A shape as JSON: what is short, what is refused. That each reader's shapes come out as they went
 * in is tested with the readers (round_trip.h). */
#include "weights/shape_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void write_into(const struct model_shape *shape, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    model_shape_write(shape, &w);
}

static void test_equal_layers_stand_once(void **state)
{
    (void)state;
    struct layer_shape layers[5] = {{.cache = CACHE_FULL, .bytes = 7},
                                    {.cache = CACHE_FULL, .bytes = 7},
                                    {.cache = CACHE_FULL, .bytes = 8},
                                    {.cache = CACHE_STATE, .bytes = 8},
                                    {.cache = CACHE_STATE, .bytes = 8}};
    const struct model_shape shape = {.format = FORMAT_GGUF,
                                      .kind = KIND_LLM,
                                      .is_causal = true,
                                      .architecture = "x",
                                      .layers = layers,
                                      .layer_count = 5};
    auto_fini(buf_fini) struct buf text = {0};
    write_into(&shape, &text);
    assert_string_equal(text.ptr,
                        "{\"version\":1,\"format\":\"gguf\",\"kind\":\"llm\",\"is_causal\":true,"
                        "\"architecture\":\"x\",\"layers\":[{\"count\":2,\"cache\":\"full\","
                        "\"bytes\":7},{\"cache\":\"full\",\"bytes\":8},"
                        "{\"count\":2,\"cache\":\"state\",\"bytes\":8}]}");
}

/* The largest that there can be is below the limit for texts. */
static void test_the_largest_shape_fits(void **state)
{
    (void)state;
    static struct layer_shape layers[MODEL_SHAPE_LAYERS_MAX];
    for (int i = 0; i < MODEL_SHAPE_LAYERS_MAX; i++)
        layers[i] = (struct layer_shape){.cache = CACHE_FULL_AND_STATE,
                                         .is_moe = true,
                                         .head_count = 100000,
                                         .head_count_kv = 100000,
                                         .key_length = 1000000,
                                         .value_length = 1000000,
                                         .indexer_length = 1000000,
                                         .window = MODEL_SHAPE_DIM_MAX,
                                         .state_conv = UINT64_C(1) << 56,
                                         .state_ssm = UINT64_C(1) << 56,
                                         .feed_forward_length = MODEL_SHAPE_DIM_MAX,
                                         .bytes = (UINT64_C(1) << 47) - (unsigned)i,
                                         .expert_bytes = UINT64_C(1) << 46};
    static struct model_part parts[MODEL_SHAPE_PARTS_MAX];
    for (int i = 0; i < MODEL_SHAPE_PARTS_MAX; i++)
        memset(parts[i].name, 1, sizeof parts[i].name - 1);
    struct model_shape shape = {.format = FORMAT_GGUF,
                                .layers = layers,
                                .layer_count = MODEL_SHAPE_LAYERS_MAX,
                                .parts = parts,
                                .part_count = MODEL_SHAPE_PARTS_MAX};
    memset(shape.name, 1, sizeof shape.name - 1);
    memset(shape.architecture, 1, sizeof shape.architecture - 1);
    auto_fini(buf_fini) struct buf text = {0};
    auto_fini(model_shape_fini) struct model_shape again = {0};
    struct err err = {0};
    write_into(&shape, &text);
    assert_true(text.len <= SHAPE_JSON_MAX);
    if (model_shape_parse(buf_str(&text), &again, &err) < 0)
        fail_msg("%s", err.text);
    assert_memory_equal(again.layers, layers, sizeof layers);
}

#define BEGIN "{\"version\":1,\"format\":\"gguf\",\"kind\":\"llm\""

static void test_what_no_shape_says_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"[]", "must be an object"},
        {"{}", "version 0, this program knows 1"},
        {"{\"version\":2}", "version 2"},
        {"{\"version\":1,\"format\":\"zip\",\"kind\":\"llm\"}", "format: \"zip\""},
        {"{\"version\":1,\"format\":\"gguf\"}", "kind: \"\""},
        {BEGIN ",\"name\":5}", "name: must be text"},
        {BEGIN ",\"is_tied\":1}", "is_tied: must be true or false"},
        {BEGIN ",\"hidden_size\":-1}", "hidden_size: must be a number of at most 4294967296"},
        {BEGIN ",\"hidden_size\":4294967297}", "hidden_size"},
        {BEGIN ",\"hidden_size\":1.5}", "hidden_size"},
        {BEGIN ",\"expert_count\":4097}", "expert_count"},
        {BEGIN ",\"layers\":7}", "layers: must be an array of at most 512"},
        {BEGIN ",\"layers\":[5]}", "layers: cache: \"\""},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"count\":513}]}", "at most 512 layers"},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"count\":512},{\"cache\":\"full\"}]}",
         "at most 512 layers"},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"count\":0}]}", "count"},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"head_count\":131073}]}", "head_count"},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"bytes\":1,\"expert_bytes\":2}]}",
         "expert_bytes: must be a part of bytes"},
        {BEGIN ",\"layers\":[{\"cache\":\"full\",\"count\":3,\"bytes\":72057594037927936}]}",
         "bytes of all tensors"},
        {BEGIN ",\"parts\":{}}", "parts: must be an array of at most 16"},
        {BEGIN ",\"parts\":[{\"bytes\":-1}]}", "parts: bytes"},
        {BEGIN, "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_shape shape = {0};
        struct err err = {0};
        if (model_shape_parse(str_of(cases[i].text), &shape, &err) >= 0 || shape.layers ||
            !strstr(err.text, cases[i].what))
            fail_msg("%s: \"%s\" isn't \"%s\"", cases[i].text, err.text, cases[i].what);
    }
}

static void test_long_texts_are_cut_off(void **state)
{
    (void)state;
    auto_fini(buf_fini) struct buf text = {0};
    buf_add_cstr(&text, BEGIN ",\"dtype\":\"0123456789abcd\303\244\303\244\"}");
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    assert_int_equal(model_shape_parse(buf_str(&text), &shape, NULL), 0);
    assert_string_equal(shape.dtype, "0123456789abcd");
    buf_clear(&text);
    for (int i = 0; i <= SHAPE_JSON_MAX; i++)
        buf_add_char(&text, ' ');
    assert_int_equal(model_shape_parse(buf_str(&text), &shape, NULL), ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_layers_stand_once),
        cmocka_unit_test(test_the_largest_shape_fits),
        cmocka_unit_test(test_what_no_shape_says_is_refused),
        cmocka_unit_test(test_long_texts_are_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
