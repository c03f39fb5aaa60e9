/* SPDX-License-Identifier: Apache-2.0 */
/* What placement has reckoned with becomes arguments, unless the model says it itself. */
#include "engine/engine_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

static struct string_list list_of(const char *words)
{
    struct string_list list = {0};
    struct str rest = str_of(words), word;
    while (str_split(&rest, '|', &word)) {
        auto_free char *item = str_dup(word);
        string_list_add(&list, item);
    }
    return list;
}

static char *join(const struct string_list *list)
{
    struct buf text = {0};
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", list->items[i]);
    return buf_take(&text);
}

/* The figures of a claim on a machine with a 10 GiB and a 20 GiB device, as "layers=20 ...". */
static char *show_figures(const char *claim_json, bool is_alone)
{
    struct device items[] = {{.index = 0, .memory.total_bytes = 10 * GIB},
                             {.index = 1, .memory.total_bytes = 20 * GIB}};
    const struct device_list devices = {items, ARRAY_LEN(items)};
    struct resource_claim claim = {0};
    struct engine_figures figures = {0};
    struct buf text = {0};
    assert_int_equal(claim_read(str_of(claim_json), &claim, NULL), 0);
    engine_figures_of(&claim, is_alone, &devices, &figures);
    for (int i = 0; i < ENGINE_FIGURE_COUNT; i++)
        if (figures.texts[i])
            buf_printf(&text, "%s%s=%s", text.len ? " " : "", engine_figure_names[i],
                       figures.texts[i]);
    engine_figures_fini(&figures);
    claim_fini(&claim);
    return buf_take(&text);
}

static void test_figures_of_a_claim(void **state)
{
    static const struct {
        const char *claim;
        bool is_alone;
        const char *figures;
    } rows[] = {
        {"{}", true, ""},
        {"{\"ram\":5}", true, ""},
        {"{\"offload_layers\":20,\"total_layers\":29}", true, "layers=20"},
        {"{\"total_layers\":29}", true, "layers=0"},
        {"{\"vram\":{\"0\":5368709120,\"1\":5368709120},\"offload_layers\":29,\"total_layers\":29}",
         true, "layers=29 split=5120,5120 memory_fraction=0.250"},
        {"{\"vram\":{\"0\":9663676416},\"offload_layers\":29,\"total_layers\":29}", true,
         "layers=29 memory_fraction=0.900"},
        {"{\"vram\":{\"0\":9663676416,\"1\":1},\"offload_layers\":29,\"total_layers\":29}", true,
         "layers=29 split=9216,1"},
        {"{\"vram\":{\"0\":99999999999}}", true, "memory_fraction=1.000"},
        {"{\"vram\":{\"7\":5}}", true, ""}, /* nobody knows how large it is */
        {"{\"vram\":{\"0\":5368709120,\"1\":5368709120},\"offload_layers\":29,\"total_layers\":29,"
         "\"context_length\":8192,\"tensor_parallel\":2,\"pipeline_parallel\":3}",
         false, "context=8192 memory_fraction=0.250 tensor_parallel=2 pipeline_parallel=3"},
        {"{\"vram\":{\"0\":5368709120,\"1\":0},\"is_whole\":true,\"offload_layers\":2,"
         "\"total_layers\":2}",
         true, "layers=2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *figures = show_figures(rows[i].claim, rows[i].is_alone);
        assert_string_equal(figures, rows[i].figures);
    }
}

#define HEAD "name: x\nready_path: /health\napis: [chat]\ncommand: [serve]\n"

static const char sample[] = HEAD "args: [--twice, '7']\n"
                                  "placed:\n"
                                  "  layers: [--layers, '{layers}']\n"
                                  "  split: ['--split={split}']\n"
                                  "  context: [--twice, '{context}']\n"
                                  "placed_unless: {layers: [-l, X_LAYERS]}\n";

static void assert_argv(const struct engine *engine, const struct engine_values *values,
                        const char *parameters, const char *expected)
{
    struct string_list given = list_of(parameters), argv = {0};
    assert_int_equal(engine_build_argv(engine, values, &given, &argv, NULL), 0);
    auto_free char *text = join(&argv);
    assert_string_equal(text, expected);
    string_list_fini(&argv);
    string_list_fini(&given);
}

static void test_arguments(void **state)
{
    static const struct {
        const char *parameters;
        bool has_variable;
        const char *argv;
    } rows[] = {
        {"", false, "serve --twice 7 --layers 20 --split 1,2"},
        {"--other", false, "serve --twice 7 --layers 20 --split 1,2 --other"},
        {"--layers 3", false, "serve --twice 7 --split 1,2 --layers 3"},
        {"-l=3", false, "serve --twice 7 --layers 20 --split 1,2 -l=3"}, /* not how -l is set */
        {"-l 3", false, "serve --twice 7 --split 1,2 -l 3"},
        {"--split|5", false, "serve --twice 7 --layers 20 --split 5"},
        {"", true, "serve --twice 7 --split 1,2"},
    };
    struct engine engine = {0};
    assert_int_equal(engine_read("t", str_of(sample), &engine, NULL), 0);
    char layers[] = "20", split[] = "1,2", context[] = "99";
    const struct engine_figures figures = {{[ENGINE_LAYERS] = layers,
                                            [ENGINE_SPLIT] = split,
                                            [ENGINE_CONTEXT] = context}};
    struct string_map variables = {0}, none = {0};
    string_map_set(&variables, "X_LAYERS", "4");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct engine_values values = {.figures = &figures,
                                             .env = rows[i].has_variable ? &variables : &none};
        assert_argv(&engine, &values, rows[i].parameters, rows[i].argv);
    }
    string_map_fini(&variables);
    engine_fini(&engine);
}

static const char tasked[] = HEAD "args: [--twice, '7']\n"
                                  "tasks: {embedding: [--embed], reranker: ['--mode=rank']}\n"
                                  "tasks_unless: {embedding: [-e, X_EMBED]}\n";

static void test_tasks(void **state)
{
    static const struct {
        const char *category, *parameters;
        bool has_variable;
        const char *argv;
    } rows[] = {
        {"embedding", "", false, "serve --twice 7 --embed"},
        {"embedding", "--embed", false, "serve --twice 7 --embed"},
        {"embedding", "-e", false, "serve --twice 7 -e"},
        {"embedding", "", true, "serve --twice 7"},
        {"reranker", "--more", true, "serve --twice 7 --mode rank --more"},
        {"reranker", "--mode=score", false, "serve --twice 7 --mode score"},
        {"llm", "", false, "serve --twice 7"},
        {NULL, "", false, "serve --twice 7"},
    };
    struct engine engine = {0};
    assert_int_equal(engine_read("t", str_of(tasked), &engine, NULL), 0);
    struct string_map variables = {0}, none = {0};
    string_map_set(&variables, "X_EMBED", "1");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct engine_values values = {.category = rows[i].category,
                                             .env = rows[i].has_variable ? &variables : &none};
        assert_argv(&engine, &values, rows[i].parameters, rows[i].argv);
    }
    string_map_fini(&variables);
    engine_fini(&engine);
}

static void test_only_what_is_known_is_said(void **state)
{
    struct engine engine = {0};
    assert_int_equal(engine_read("t", str_of(sample), &engine, NULL), 0);
    const struct engine_figures nothing = {0};
    const struct engine_values values[] = {{.figures = &nothing}, {.figures = NULL}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct string_list none = {0}, argv = {0};
        assert_int_equal(engine_build_argv(&engine, &values[i], &none, &argv, NULL), 0);
        auto_free char *text = join(&argv);
        assert_string_equal(text, "serve --twice 7");
        string_list_fini(&argv);
    }
    engine_fini(&engine);
}

static void test_bad_sections_are_refused(void **state)
{
    static const struct {
        const char *yaml, *part;
    } rows[] = {
        {HEAD "args: []\nplaced: {layers: ['{layers}']}\n", "must begin with a flag"},
        {HEAD "args: []\nplaced: {layers: [--a, '{split}']}\n", "placed: layers"},
        {HEAD "args: []\nplaced: {colour: [--a]}\n", "unknown key 'colour'"},
        {HEAD "args: [--a, '{layers}']\n", "{layers}"},
        {HEAD "args: []\ntasks: {embedding: [embed]}\n", "tasks: embedding: must begin"},
        {HEAD "args: []\ntasks: {reranker: [--a, '{layers}']}\n", "{layers}"},
        {HEAD "args: []\ntasks: {image: [--a]}\n", "unknown key 'image'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine engine = {0};
        struct err err = {0};
        assert_int_equal(engine_read("t", str_of(rows[i].yaml), &engine, &err), ERR_INVALID);
        if (!strstr(err.text, rows[i].part))
            fail_msg("\"%s\" is not in \"%s\"", rows[i].part, err.text);
    }
}

static void test_llama_cpp(void **state)
{
    struct engine_set *set = NULL;
    const struct engine *engine = NULL;
    assert_int_equal(engine_set_load(NULL, &set, NULL), 0);
    assert_int_equal(engine_find(set, "llama.cpp", NULL, NULL, &engine, NULL), 0);
    char layers[] = "0", split[] = "5,6";
    const struct engine_figures figures = {{[ENGINE_LAYERS] = layers, [ENGINE_SPLIT] = split}};
    int64_t port = 1;
    const struct int_list ports = {&port, 1};
    const struct engine_values values = {.model_path = "m",
                                         .model_name = "m",
                                         .host = "h",
                                         .ports = &ports,
                                         .figures = &figures};
    struct string_list parameters = list_of("-ts 1,1"), argv = {0};
    assert_int_equal(engine_build_argv(engine, &values, &parameters, &argv, NULL), 0);
    auto_free char *text = join(&argv);
    assert_non_null(strstr(text, " --n-gpu-layers 0 -ts 1,1"));
    string_list_fini(&argv);
    string_list_fini(&parameters);
    engine_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_of_a_claim),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_only_what_is_known_is_said),
        cmocka_unit_test(test_bad_sections_are_refused),
        cmocka_unit_test(test_llama_cpp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
