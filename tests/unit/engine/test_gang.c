/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of engines that run on several workers, and of those with several ports. */
#include "engine/engine_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAD "name: x\nready_path: /health\napis: [chat]\ncommand: [serve]\n"

static const char sample[] = HEAD
    "args: [--port, '{port}', --aux, '{port1}']\n"
    "ports: 2\n"
    "env: {AUX: '{port1}'}\n"
    "gang:\n"
    "  args: [--rpc, '{rpc}', --master, '{ip}:{port2}', --tp, '{gpu_total}']\n"
    "  env: {RANKS: '{ranks}', SIZE: '{rank_count}'}\n"
    "  ports: 3\n"
    "rank:\n"
    "  command: [rank-serve]\n"
    "  args: [-H, '{host}', -p, '{port}', --to, '{rank0_ip}:{rank0_port2}', --rank, '{rank}']\n"
    "  env: {GPUS: '{gpu_count}', ALL: '{ips}'}\n"
    "  ports: 1\n";

#define RANKS                                                                                      \
    "[{\"rank\":0,\"ip\":\"10.0.0.5\",\"ports\":[40000,40001,40002],\"gpu_indexes\":[0,1]},"       \
    "{\"rank\":1,\"ip\":\"fd00::6\",\"ports\":[40009],\"gpu_indexes\":[0]},"                       \
    "{\"rank\":2,\"ip\":\"10.0.0.7\",\"ports\":[40000],\"gpu_indexes\":[3,4,5]}]"

static struct engine read_engine(const char *yaml)
{
    struct engine engine = {0};
    struct err err = {0};
    if (engine_read("x.yaml", str_of(yaml), &engine, &err) < 0)
        fail_msg("%s", err.text);
    return engine;
}

static struct engine_values values_of(const struct peers *peers, int64_t rank)
{
    return (struct engine_values){.model_path = "/m.gguf",
                                  .model_name = "m",
                                  .host = rank ? peers->items[rank].ip : "127.0.0.1",
                                  .ports = &peers->items[rank].ports,
                                  .rank = rank,
                                  .peers = peers,
                                  .ranks = RANKS};
}

static char *argv_text(const struct engine *engine, const struct engine_values *values)
{
    struct string_list parameters = {0}, argv = {0};
    struct err err = {0};
    struct buf text = {0};
    string_list_add(&parameters, "--extra 1");
    if (engine_build_argv(engine, values, &parameters, &argv, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < argv.count; i++)
        buf_printf(&text, "%s%s", i ? " " : "", argv.items[i]);
    string_list_fini(&parameters);
    string_list_fini(&argv);
    return buf_take(&text);
}

static bool has_env(const struct engine *engine, const struct engine_values *values,
                    const char *entry)
{
    struct string_map extra = {0};
    struct string_list env = {0};
    engine_build_env(engine, values, NULL, &extra, &env);
    bool found = string_list_has(&env, entry);
    string_list_fini(&env);
    return found;
}

static void test_programs_of_ranks(void **state)
{
    struct engine engine = read_engine(sample);
    struct peers peers = {0};
    assert_int_equal(peers_read(RANKS, &peers, NULL), 0);
    struct engine_values first = values_of(&peers, 0), second = values_of(&peers, 1);
    auto_free char *first_text = argv_text(&engine, &first);
    assert_string_equal(first_text,
                        "serve --port 40000 --aux 40001 --rpc [fd00::6]:40009,10.0.0.7:40000 "
                        "--master 10.0.0.5:40002 --tp 6 --extra 1");
    auto_free char *second_text = argv_text(&engine, &second);
    assert_string_equal(second_text, "rank-serve -H fd00::6 -p 40009 --to 10.0.0.5:40002 --rank 1");
    assert_true(has_env(&engine, &first, "SIZE=3"));
    assert_true(has_env(&engine, &first, "AUX=40001"));
    assert_true(has_env(&engine, &first, "RANKS=" RANKS));
    assert_false(has_env(&engine, &first, "GPUS=2"));
    assert_true(has_env(&engine, &second, "GPUS=1"));
    assert_true(has_env(&engine, &second, "ALL=10.0.0.5,fd00::6,10.0.0.7"));
    assert_false(has_env(&engine, &second, "SIZE=3"));
    engine.rank.takes_parameters = true;
    auto_free char *third_text = argv_text(&engine, &second);
    assert_non_null(strstr(third_text, " --extra 1"));
    peers_fini(&peers);
    engine_fini(&engine);
}

static void test_alone(void **state)
{
    struct engine engine = read_engine(sample);
    int64_t numbers[] = {40000, 40001};
    struct int_list ports = {numbers, 2};
    struct engine_values alone = {.model_path = "/m", .host = "127.0.0.1", .ports = &ports};
    auto_free char *text = argv_text(&engine, &alone);
    assert_string_equal(text, "serve --port 40000 --aux 40001 --extra 1");
    assert_int_equal(engine_port_count(&engine, 0, 1), 2);
    assert_int_equal(engine_port_count(&engine, 0, 2), 3);
    assert_int_equal(engine_port_count(&engine, 1, 2), 1);
    assert_true(engine_is_distributable(&engine));
    assert_false(engine_ranks_need_model(&engine));
    engine_fini(&engine);
    engine = read_engine(HEAD "args: ['{port}']\n");
    assert_int_equal(engine_port_count(&engine, 0, 1), 1);
    assert_false(engine_is_distributable(&engine));
    engine_fini(&engine);
    engine = read_engine(HEAD "args: ['{port}']\nrank: {command: [a], args: ['{model_path}']}\n");
    assert_true(engine_ranks_need_model(&engine));
    assert_int_equal(engine_port_count(&engine, 1, 2), 0);
    engine_fini(&engine);
}

/* Where the gang is isn't a model's to say either. */
static void test_gang_flags_are_reserved(void **state)
{
    struct engine engine = read_engine(sample);
    struct peers peers = {0};
    assert_int_equal(peers_read(RANKS, &peers, NULL), 0);
    struct engine_values first = values_of(&peers, 0);
    static const char *const flags[] = {"--rpc 1.2.3.4:5", "--master x", "--aux 1"};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        struct string_list parameters = {0}, argv = {0};
        string_list_add(&parameters, flags[i]);
        assert_int_equal(engine_build_argv(&engine, &first, &parameters, &argv, NULL), ERR_INVALID);
        string_list_fini(&parameters);
    }
    peers_fini(&peers);
    engine_fini(&engine);
}

static void test_faults_are_named(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        {HEAD "args: ['{port1}']\n", "args: no value for placeholder {port1}"},
        {HEAD "args: ['{port2}']\nports: 2\n", "args: no value for placeholder {port2}"},
        {HEAD "args: ['{port0}']\n", "args: no value for placeholder {port0}"},
        {HEAD "args: ['{rpc}']\n", "args: no value for placeholder {rpc}"},
        {HEAD "args: [a]\nports: 17\n", "ports: must be an integer from 1 to 16"},
        {HEAD "args: [a]\nrank: a\n", "rank: must be a mapping of keys"},
        {HEAD "args: [a]\nrank: {args: [a]}\n", "key 'command' is missing"},
        {HEAD "args: [a]\nrank: {command: [a], args: ['{port}']}\n",
         "rank: args: no value for placeholder {port}"},
        {HEAD "args: [a]\nrank: {command: [a], args: [b]}\ngang: {args: ['{rpc}']}\n",
         "gang: args: no value for placeholder {rpc}"},
        {HEAD "args: ['{port1}']\nports: 2\nrank: {command: [a], args: [b]}\ngang: {ports: 1}\n",
         "gang: args: no value for placeholder {port1}"},
        {HEAD "args: [a]\nrank: {command: [a], args: [b], takes_parameters: 1}\n",
         "takes_parameters: must be true or false"},
        {HEAD "args: [a]\nrank: {command: [a], args: [b], name: x}\n",
         "unknown key 'name', allowed are command, args, env, ports, takes_parameters"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct engine engine = {0};
        struct err err = {0};
        assert_true(engine_read("x.yaml", str_of(cases[i].yaml), &engine, &err) < 0);
        if (!strstr(err.text, cases[i].text))
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].text, err.text);
        assert_null(engine.name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs_of_ranks),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_gang_flags_are_reserved),
        cmocka_unit_test(test_faults_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
