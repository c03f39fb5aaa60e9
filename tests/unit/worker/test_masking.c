/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/masking.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool is_secret;
    } rows[] = {
        {"HF_TOKEN", true},       {"--api-key", true},      {"OPENAI_API_KEY", true},
        {"--hf-token", true},     {"-hft", true},           {"AWS_SECRET_ACCESS_KEY", true},
        {"DB_PASSWORD", true},    {"PASSWD", true},         {"apiKey", true},
        {"--api-keys", true},     {"--api-key-file", true}, {"PROXY_AUTH", true},
        {"KEY_2", true},          {"MY_CREDENTIALS", true}, {"--max-num-batched-tokens", false},
        {"--tokenizer", false},   {"--port", false},        {"--eos-token-id", false},
        {"TOKEN_LIMIT", false},   {"AUTHOR", false},        {"--keep", false},
        {"--n-gpu-layers", false}, {"KV_CACHE", false},     {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (masking_is_secret_name(str_of(rows[i].name)) != rows[i].is_secret)
            fail_msg("%s", rows[i].name);
}

static void test_command_lines(void **state)
{
    static const struct {
        const char *given, *shown; /* arguments parted by '|' */
    } rows[] = {
        {"a|--port|40000|-c|4096", "a|--port|40000|-c|4096"},
        {"a|--api-key|hunter22|--port|1", "a|--api-key|***|--port|1"},
        {"a|--api-key|one|two|-c|1", "a|--api-key|***|***|-c|1"},
        {"a|--api-key|-abc|-c|1", "a|--api-key|***|-c|1"},
        {"a|--api-key=hunter22", "a|--api-key=***"},
        {"a|--no-auth|--port|1", "a|--no-auth|--port|1"},
        {"env|HF_TOKEN=hf_abcdef|a|hf_abcdef", "env|HF_TOKEN=***|a|***"},
        {"a|--override-kv|tokenizer.ggml.add_bos_token=bool:false",
         "a|--override-kv|tokenizer.ggml.add_bos_token=bool:false"},
        {"a|--x|{\"t\":\"the-token\"}|the-token,the-token", "a|--x|{\"t\":\"***\"}|***,***"},
        {"a|--cfg|https://me:pw@host/x?y", "a|--cfg|https://me:***@host/x?y"},
        {"a|--header|Authorization: Bearer abc", "a|--header|Authorization: Bearer ***"},
        {"a|--api-key", "a|--api-key"},
        {"a|http://host:80/@x", "a|http://host:80/@x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct string_list argv = {0};
        struct string_map env = {0};
        struct str rest = str_of(rows[i].given), item;
        while (str_split(&rest, '|', &item)) {
            auto_free char *text = str_dup(item);
            string_list_add(&argv, text);
        }
        masking_apply(&argv, &env, "the-token");
        struct buf shown = {0};
        for (size_t k = 0; k < argv.count; k++)
            buf_printf(&shown, "%s%s", k ? "|" : "", argv.items[k]);
        assert_string_equal(shown.ptr, rows[i].shown);
        buf_fini(&shown);
        string_list_fini(&argv);
    }
}

/* A model's own secret is no better off for being an argument, too. */
static void test_environment(void **state)
{
    struct string_list argv = {0};
    struct string_map env = {0};
    string_list_add(&argv, "a");
    string_list_add(&argv, "--url=http://x/?k=s3cr3t-1");
    string_map_set(&env, "SERVICE_KEY", "s3cr3t-1");
    string_map_set(&env, "SHORT_KEY", "on");
    string_map_set(&env, "LLAMA_ARG", "the-token");
    string_map_set(&env, "MODE", "on");
    masking_apply(&argv, &env, "the-token");
    assert_string_equal(argv.items[1], "--url=http://x/?k=***");
    assert_string_equal(string_map_get(&env, "SERVICE_KEY"), "***");
    assert_string_equal(string_map_get(&env, "SHORT_KEY"), "***");
    assert_string_equal(string_map_get(&env, "LLAMA_ARG"), "***");
    assert_string_equal(string_map_get(&env, "MODE"), "on");
    string_list_fini(&argv);
    string_map_fini(&env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
