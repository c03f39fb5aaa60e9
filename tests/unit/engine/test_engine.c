/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "engine/engine_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A list out of words that are separated by '|'. */
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
        buf_printf(&text, "%s%s", i ? "|" : "", list->items[i]);
    return buf_take(&text);
}

static struct engine engine_of(const char *yaml)
{
    struct engine engine = {0};
    struct err err = {0};
    if (engine_read("test.yaml", str_of(yaml), &engine, &err) < 0)
        fail_msg("%s", err.text);
    return engine;
}

#define HEAD "name: x\nready_path: /health\napis: [chat]\n"

static const char sample[] = HEAD
    "command: [serve, --fixed]\n"
    "args: [--host, '{host}', --port, '{port}', --model, '{model_path}', --alias, '{model_name}',\n"
    "       --metrics, --temp, '-1']\n"
    "reserved: [-m]\n"
    "env: {HOME: /nowhere, WHERE: 'http://{host}:{port}', JSON: '{\"a\":1}'}\n"
    "token_env: X_KEY\n";

static int64_t port_numbers[] = {40000, 40001, 40002};
static const struct int_list one_port = {port_numbers, 1};
static const struct engine_values values = {
    .model_path = "/m/a b.gguf", .model_name = "hello", .host = "127.0.0.1", .ports = &one_port};

#define ARGV_START "serve|--fixed|--host|127.0.0.1|--port|40000|--model|/m/a b.gguf"

static void test_argv(void **state)
{
    static const struct {
        const char *parameters, *argv;
    } cases[] = {
        {"", ARGV_START "|--alias|hello|--metrics|--temp|-1"},
        {"--ctx-size 4096", ARGV_START "|--alias|hello|--metrics|--temp|-1|--ctx-size|4096"},
        {"--ctx-size=4096", ARGV_START "|--alias|hello|--metrics|--temp|-1|--ctx-size|4096"},
        {"--ctx-size|4096", ARGV_START "|--alias|hello|--metrics|--temp|-1|--ctx-size|4096"},
        {"-c 4096", ARGV_START "|--alias|hello|--metrics|--temp|-1|-c|4096"},
        {"--embeddings|-fa", ARGV_START "|--alias|hello|--metrics|--temp|-1|--embeddings|-fa"},
        {"--temp 0.5", ARGV_START "|--alias|hello|--metrics|--temp|0.5"},
        {"--temp=-2", ARGV_START "|--alias|hello|--metrics|--temp|-2"},
        {"--alias|other|--metrics", ARGV_START "|--alias|other|--metrics|--temp|-1"},
        {"--temp 1|--temp 2", ARGV_START "|--alias|hello|--metrics|--temp|2"},
        {"--lora a|--lora b", ARGV_START "|--alias|hello|--metrics|--temp|-1|--lora|a|--lora|b"},
        {"--lora-scaled|a|0.5|--x=a=b c",
         ARGV_START "|--alias|hello|--metrics|--temp|-1|--lora-scaled|a|0.5|--x|a=b c"},
        {"--stop  two words ", ARGV_START "|--alias|hello|--metrics|--temp|-1|--stop|two words"},
        {"--flag ", ARGV_START "|--alias|hello|--metrics|--temp|-1|--flag"},
        {"--empty=", ARGV_START "|--alias|hello|--metrics|--temp|-1|--empty|"},
        {"--name {port}", ARGV_START "|--alias|hello|--metrics|--temp|-1|--name|{port}"},
        {"word", ARGV_START "|--alias|hello|--metrics|--temp|-1|word"},
    };
    struct engine engine = engine_of(sample);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct string_list parameters = list_of(cases[i].parameters), argv = {0};
        struct err err = {0};
        if (engine_build_argv(&engine, &values, &parameters, &argv, &err) < 0)
            fail_msg("%s", err.text);
        auto_free char *text = join(&argv);
        assert_string_equal(text, cases[i].argv);
        string_list_fini(&parameters);
        string_list_fini(&argv);
    }
    engine_fini(&engine);
}

static void test_reserved_parameters_are_refused(void **state)
{
    static const struct {
        const char *parameters, *named;
    } cases[] = {
        {"--host=0.0.0.0", "--host"}, {"--port 1", "--port"},   {"--x|--model|/etc", "--model"},
        {"-m /etc/passwd", "-m"},     {"-m|/etc/passwd", "-m"}, {"--port", "--port"},
    };
    struct engine engine = engine_of(sample);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct string_list parameters = list_of(cases[i].parameters), argv = {0};
        struct err err = {0};
        assert_int_equal(engine_build_argv(&engine, &values, &parameters, &argv, &err),
                         ERR_INVALID);
        auto_free char *text =
            mem_printf("parameter %s is reserved: gpustack sets it for x", cases[i].named);
        assert_string_equal(err.text, text);
        assert_null(argv.items);
        string_list_fini(&parameters);
    }
    engine_fini(&engine);
}

static void test_unknown_placeholder_is_refused(void **state)
{
    struct engine engine = engine_of(sample);
    struct string_list none = {0}, argv = {0};
    struct err err = {0};
    mem_replace(&engine.args.items[1], "{hosts}");
    assert_int_equal(engine_build_argv(&engine, &values, &none, &argv, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "{hosts}"));
    mem_replace(&engine.args.items[1], "{dir}"); /* it isn't in a folder of its own */
    assert_int_equal(engine_build_argv(&engine, &values, &none, &argv, &err), ERR_INVALID);
    assert_null(argv.items);
    engine_fini(&engine);
}

static const char *value_of(const struct string_list *env, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, length) != 0 || env->items[i][length] != '=')
            continue;
        assert_null(found); /* each name once */
        found = env->items[i] + length + 1;
    }
    return found ? found : "(unset)";
}

static void test_env_is_layered(void **state)
{
    struct engine engine = engine_of(sample);
    struct string_map extra = {0};
    struct string_list env = {0};
    setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    setenv("NVIDIA_X", "1", 1);
    setenv("SECRET_OF_OURS", "1", 1);
    setenv("PATH", "/p", 1);
    string_map_set(&extra, "CUDA_VISIBLE_DEVICES", "2");
    string_map_set(&extra, "X_KEY", "of the model");
    string_map_set(&extra, "WHERE_NOT", "{host}");
    engine_build_env(&engine, &values, "the-token", &extra, &env);
    assert_string_equal(value_of(&env, "PATH"), "/p");
    assert_string_equal(value_of(&env, "HOME"), "/nowhere");
    assert_string_equal(value_of(&env, "WHERE"), "http://127.0.0.1:40000");
    assert_string_equal(value_of(&env, "JSON"), "{\"a\":1}");
    assert_string_equal(value_of(&env, "CUDA_VISIBLE_DEVICES"), "2");
    assert_string_equal(value_of(&env, "NVIDIA_X"), "1");
    assert_string_equal(value_of(&env, "SECRET_OF_OURS"), "(unset)");
    assert_string_equal(value_of(&env, "X_KEY"), "the-token");
    assert_string_equal(value_of(&env, "WHERE_NOT"), "{host}");
    string_list_fini(&env);
    engine_build_env(&engine, &values, NULL, &extra, &env);
    assert_string_equal(value_of(&env, "X_KEY"), "of the model");
    string_list_fini(&env);
    unsetenv("PATH");
    engine_build_env(&engine, &values, NULL, &extra, &env);
    assert_string_equal(value_of(&env, "PATH"), "/usr/local/bin:/usr/bin:/bin");
    string_list_fini(&env);
    string_map_fini(&extra);
    engine_fini(&engine);
}

static void test_presence(void **state)
{
    static const struct {
        const char *command, *path;
        bool is_present;
    } cases[] = {
        {"sh", "/usr/bin:/bin", true}, {"sh", "/nowhere:relative:", false},
        {"/bin/sh", "", true},         {"/bin", "/", false},
        {"bin", "/", false},           {"no-such-program", "/usr/bin:/bin", false},
        {"{dir}/sh", "/bin", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine engine = {0};
        string_list_add(&engine.command, cases[i].command);
        string_map_set(&engine.env, "PATH", cases[i].path);
        assert_int_equal(engine_is_present(&engine, false), cases[i].is_present);
        engine_fini(&engine);
    }
}

#define BODY "command: [serve]\nargs: [a]\n"

static void test_yaml_faults_are_named(void **state)
{
    static const struct {
        const char *yaml;
        int code;
        const char *text;
    } cases[] = {
        {"", ERR_INVALID, "x.yaml: must be a mapping of keys"},
        {"- a", ERR_INVALID, "x.yaml: must be a mapping of keys"},
        {"name: [\n", ERR_SYNTAX, "x.yaml line 2: did not find "},
        {"name: x\n\tb", ERR_SYNTAX, "x.yaml line 2: found "},
        {"name: x\n", ERR_INVALID, "x.yaml: key 'command' is missing"},
        {HEAD BODY "colour: red\n", ERR_INVALID,
         "x.yaml line 6: unknown key 'colour', allowed are name, aliases, formats, command, args, "
         "reserved, env, ports, gang, rank, placed, placed_unless, tasks, tasks_unless, "
         "ready_path, ready_interval_ms, metrics_path, token_env, apis, device_types"},
        {HEAD BODY "[a]: red\n", ERR_INVALID, "x.yaml line 6: unknown key '?'"},
        {HEAD BODY "name: y\n", ERR_INVALID, "x.yaml line 6: name: must be there once"},
        {HEAD BODY "aliases: a\n", ERR_INVALID,
         "x.yaml line 6: aliases: must be a list of at most 256 texts"},
        {HEAD BODY "aliases:\n  - a\n  - {b: c}\n", ERR_INVALID,
         "x.yaml line 8: aliases: must be text"},
        {HEAD BODY "aliases: [~]\n", ERR_INVALID,
         "x.yaml line 6: aliases: must be text, not empty"},
        {HEAD BODY "aliases: [\"a\\0b\"]\n", ERR_INVALID,
         "x.yaml line 6: aliases: must be text of at most 4096 bytes without NUL"},
        {HEAD BODY "token_env: [a]\n", ERR_INVALID, "x.yaml line 6: token_env: must be text"},
        {HEAD BODY "token_env:\n", ERR_INVALID,
         "x.yaml line 6: token_env: must be text, not empty"},
        {HEAD BODY "env: [a]\n", ERR_INVALID,
         "x.yaml line 6: env: must be a map of at most 256 texts"},
        {HEAD BODY "env: {a b: c}\n", ERR_INVALID,
         "x.yaml line 6: env: must be a map of names made of letters, digits, _"},
        {HEAD BODY "env: {A: {}}\n", ERR_INVALID, "x.yaml line 6: A: must be text"},
        {HEAD BODY "env: {A: b, A: c}\n", ERR_INVALID, "x.yaml line 6: A: must be there once"},
        {HEAD BODY "env: {A: '{a}'}\n", ERR_INVALID, "x.yaml: A: no value for placeholder {a}"},
        {HEAD BODY "metrics_path: metrics\n", ERR_INVALID,
         "x.yaml line 6: metrics_path: must be a path that begins with '/'"},
        {HEAD BODY "ready_interval_ms: 5\n", ERR_INVALID,
         "x.yaml line 6: ready_interval_ms: must be an integer from 50 to 60000"},
        {HEAD BODY "ready_interval_ms: [500]\n", ERR_INVALID,
         "x.yaml line 6: ready_interval_ms: must be an integer from 50 to 60000"},
        {"name: x\nready_path: /\napis: [chat, talk]\n" BODY, ERR_INVALID,
         "x.yaml line 3: apis: must be a list of chat, completions, embeddings, rerank, tokenize"},
        {HEAD "args: [a]\ncommand: []\n", ERR_INVALID, "x.yaml: command: must name a program"},
        {HEAD "args: ['{dir}']\ncommand: [a]\n", ERR_INVALID,
         "x.yaml: args: no value for placeholder {dir}"},
        {HEAD BODY "---\na: b\n", ERR_INVALID, "x.yaml: must be one document"},
        {HEAD BODY "---\na: [", ERR_SYNTAX, "x.yaml line 8: did not find"},
        {HEAD BODY "aliases: &a [b, *a]\n", ERR_INVALID, "x.yaml line 6: aliases: must be text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine engine = {0};
        struct err err = {0};
        assert_int_equal(engine_read("x.yaml", str_of(cases[i].yaml), &engine, &err),
                         cases[i].code);
        if (strncmp(err.text, cases[i].text, strlen(cases[i].text)) != 0)
            fail_msg("case %zu: '%s' is not '%s'", i, err.text, cases[i].text);
        assert_null(engine.name);
    }
}

static void test_yaml_limits(void **state)
{
    struct buf text = {0};
    struct engine engine = {0};
    struct err err = {0};
    buf_add_cstr(&text, HEAD BODY "aliases:\n");
    for (int i = 0; i < 257; i++)
        buf_add_cstr(&text, "- a\n");
    assert_int_equal(engine_read("x.yaml", buf_str(&text), &engine, &err), ERR_INVALID);
    for (int i = 0; i < 20000; i++)
        buf_add_cstr(&text, "- a\n");
    assert_int_equal(engine_read("x.yaml", buf_str(&text), &engine, &err), ERR_TOO_LARGE);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argv),
        cmocka_unit_test(test_reserved_parameters_are_refused),
        cmocka_unit_test(test_unknown_placeholder_is_refused),
        cmocka_unit_test(test_env_is_layered),
        cmocka_unit_test(test_presence),
        cmocka_unit_test(test_yaml_faults_are_named),
        cmocka_unit_test(test_yaml_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
