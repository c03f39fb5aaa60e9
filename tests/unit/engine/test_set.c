/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "base/file.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* An engine directory in the build folder; `state` of each test. */
static int make_bin_dir(void **state)
{
    char path[] = "./bin-XXXXXX";
    *state = mkdtemp(path) ? realpath(path, NULL) : NULL;
    return *state ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    return remove(path);
}

static int remove_bin_dir(void **state)
{
    int rc = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

static void put(const char *bin_dir, const char *folder, const char *file, const char *text)
{
    auto_free char *dir = mem_printf("%s/%s", bin_dir, folder);
    auto_free char *path = mem_printf("%s/%s", dir, file);
    assert_int_equal(file_make_dirs(dir, 0755, NULL), 0);
    assert_int_equal(file_write(path, str_of(text), 0755, NULL), 0);
}

static struct engine_set *load(const char *bin_dir)
{
    struct engine_set *set = NULL;
    struct err err = {0};
    if (engine_set_load(bin_dir, &set, &err) < 0)
        fail_msg("%s", err.text);
    return set;
}

static const struct engine *find(const struct engine_set *set, const char *backend,
                                 const char *version)
{
    const struct engine *engine = NULL;
    struct err err = {0};
    if (engine_find(set, backend, version, "/models/a.gguf", &engine, &err) < 0)
        fail_msg("%s", err.text);
    return engine;
}

static void test_builtin_llama_cpp(void **state)
{
    struct engine_set *set = load(NULL);
    const struct engine *engine = find(set, "llama.cpp", NULL);
    int64_t port = 40001;
    struct int_list ports = {&port, 1};
    struct engine_values values = {
        .model_path = "/m/a.gguf", .model_name = "a", .host = "127.0.0.1", .ports = &ports};
    struct string_list parameters = {0}, argv = {0};
    static const char *const expected[] = {
        "llama-server", "--host",  "127.0.0.1", "--port",    "40001",      "--model",
        "/m/a.gguf",    "--alias", "a",         "--metrics", "--ctx-size", "512"};
    assert_string_equal(engine->name, "llama.cpp");
    assert_null(engine->version);
    assert_null(engine->dir);
    assert_string_equal(engine->ready_path, "/health");
    assert_string_equal(engine->metrics_path, "/metrics");
    assert_string_equal(engine->token_env, "LLAMA_API_KEY");
    assert_int_equal(engine->apis, ENGINE_CHAT | ENGINE_COMPLETIONS | ENGINE_EMBEDDINGS |
                                       ENGINE_RERANK | ENGINE_TOKENIZE);
    string_list_add(&parameters, "--ctx-size 512");
    assert_int_equal(engine_build_argv(engine, &values, &parameters, &argv, NULL), 0);
    assert_int_equal(argv.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < argv.count; i++)
        assert_string_equal(argv.items[i], expected[i]);
    string_list_fini(&argv);
    string_list_add(&parameters, "-m /other.gguf");
    assert_int_equal(engine_build_argv(engine, &values, &parameters, &argv, NULL), ERR_INVALID);
    string_list_fini(&parameters);
    engine_set_free(set);
}

static void test_find_by_format(void **state)
{
    static const struct {
        const char *path;
        int rc;
    } cases[] = {{"/m/a.gguf", 0},
                 {"/m/A.GGUF", 0},
                 {"/m/a.safetensors", ERR_NOT_FOUND},
                 {"gguf", ERR_NOT_FOUND},
                 {"", ERR_NOT_FOUND}};
    struct engine_set *set = load(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct engine *engine = NULL;
        struct err err = {0};
        assert_int_equal(engine_find(set, NULL, NULL, cases[i].path, &engine, &err), cases[i].rc);
        assert_true((engine != NULL) == (cases[i].rc == 0));
    }
    engine_set_free(set);
}

#define BUILT_IN "llama.cpp (on PATH), mindie (on PATH), vllm (on PATH)"

static void test_not_found_says_what_there_is(void **state)
{
    put(*state, "llama.cpp_b2", "llama-server", "");
    struct engine_set *set = load(*state);
    const struct engine *engine = NULL;
    struct err err = {0};
    assert_int_equal(engine_find(set, "tgi", NULL, "x", &engine, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text,
                        "no engine for backend tgi; there are " BUILT_IN ", llama.cpp b2");
    assert_int_equal(engine_find(set, "llama-box", "b3", "x", &engine, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "no engine for backend llama-box version b3; there are " BUILT_IN
                                  ", llama.cpp b2");
    assert_int_equal(engine_find(set, NULL, NULL, "/m/x.bin", &engine, &err), ERR_NOT_FOUND);
    assert_string_equal(
        err.text, "no engine for model file /m/x.bin; there are " BUILT_IN ", llama.cpp b2");
    assert_null(engine);
    engine_set_free(set);
}

static void test_installed_copies_win_newest_first(void **state)
{
    put(*state, "llama.cpp_b999", "llama-server", "");
    put(*state, "llama.cpp_b4321", "llama-server", "");
    put(*state, "llama-box_0.0_1", "llama-server", "");
    put(*state, "llama.cpp_b9999", "readme", ""); /* no program, no engine.yaml: not a copy */
    put(*state, "llama.cpp", "llama-server", "");
    put(*state, "tgi_1", "engine.yaml", "what: ever\n");
    struct engine_set *set = load(*state);
    assert_string_equal(find(set, NULL, NULL)->version, "b4321");
    assert_string_equal(find(set, "llama.cpp", "b999")->version, "b999");
    const struct engine *engine = find(set, "llama.cpp", "0.0_1");
    auto_free char *dir = mem_printf("%s/llama-box_0.0_1", (char *)*state);
    assert_string_equal(engine->dir, dir);
    assert_string_equal(engine->command.items[0], "{dir}/llama-server");
    assert_true(engine_is_present(engine, false));
    engine_set_free(set);
}

static void test_engine_yaml_replaces_command_and_env(void **state)
{
    put(*state, "llama.cpp_1.2", "engine.yaml",
        "backend: llama.cpp\nversion: \"1.2\"\n"
        "command: ['{dir}/lib/ld.so', --library-path, '{dir}/lib:{dir}/lib/llama', '{dir}/serve']\n"
        "env: {GGML_BACKEND_PATH: '{dir}/lib/ggml-cpu.so', THREADS: 4}\n");
    struct engine_set *set = load(*state);
    const struct engine *engine = find(set, "llama-box", NULL);
    int64_t port = 1;
    struct int_list ports = {&port, 1};
    struct engine_values values = {
        .model_path = "/m", .model_name = "a", .host = "h", .ports = &ports};
    struct string_list none = {0}, argv = {0}, env = {0};
    struct string_map extra = {0};
    assert_false(engine_is_present(engine, false));
    put(*state, "llama.cpp_1.2/lib", "ld.so", "");
    assert_true(engine_is_present(engine, false));
    assert_int_equal(engine_build_argv(engine, &values, &none, &argv, NULL), 0);
    auto_free char *path = mem_printf("%s/lib:%s/lib/llama", engine->dir, engine->dir);
    assert_string_equal(argv.items[2], path);
    assert_string_equal(argv.items[4], "--host");
    engine_build_env(engine, &values, NULL, &extra, &env);
    auto_free char *entry = mem_printf("GGML_BACKEND_PATH=%s/lib/ggml-cpu.so", engine->dir);
    assert_true(string_list_has(&env, entry));
    assert_true(string_list_has(&env, "THREADS=4"));
    string_list_fini(&argv);
    string_list_fini(&env);
    engine_set_free(set);
}

static void test_bad_engine_yaml_is_named(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        {"version: 2\n", "version: must be '1' as the folder's name says, not '2'"},
        {"backend: vllm\n", "backend: must be 'llama.cpp' as the folder's name says, not 'vllm'"},
        {"args: [a]\n", "line 1: unknown key 'args', allowed are backend, version, command, env"},
        {"command: ['{home}/x']\n", "command: no value for placeholder {home}"},
        {"env: {A: '{home}'}\n", "A: no value for placeholder {home}"},
        {"command: llama-server\n", "line 1: command: must be a list of at most 256 texts"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine_set *set = NULL;
        struct err err = {0};
        put(*state, "llama.cpp_1", "engine.yaml", cases[i].yaml);
        assert_int_equal(engine_set_load(*state, &set, &err), ERR_INVALID);
        if (!strstr(err.text, "/llama.cpp_1/engine.yaml") || !strstr(err.text, cases[i].text))
            fail_msg("'%s' not in: %s", cases[i].text, err.text);
        assert_null(set);
    }
}

static void test_missing_engine_directory_is_fine(void **state)
{
    struct engine_set *set = load("/no/such/folder");
    assert_null(find(set, NULL, NULL)->version);
    engine_set_free(set);
    struct err err = {0};
    set = NULL;
    assert_true(engine_set_load("/dev/null", &set, &err) < 0);
    assert_non_null(strstr(err.text, "/dev/null"));
}

#define DIR_TEST(test) cmocka_unit_test_setup_teardown(test, make_bin_dir, remove_bin_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_llama_cpp),
        cmocka_unit_test(test_find_by_format),
        DIR_TEST(test_not_found_says_what_there_is),
        DIR_TEST(test_installed_copies_win_newest_first),
        DIR_TEST(test_engine_yaml_replaces_command_and_env),
        DIR_TEST(test_bad_engine_yaml_is_named),
        cmocka_unit_test(test_missing_engine_directory_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
