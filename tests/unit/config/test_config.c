/* SPDX-License-Identifier: Apache-2.0 */
/* A finished configuration: hand-over, public dump, reload; help and manual; the table itself. */
#include "base/json.h"
#include "config/option_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECRET "pa55w0rd"

static void load(const char *const *args, struct config *config)
{
    char *argv[16] = {mem_strdup("start")};
    char *environment[] = {NULL};
    int argc = 1;
    for (; args[argc - 1]; argc++)
        argv[argc] = mem_strdup(args[argc - 1]);
    struct err err = {0};
    assert_int_equal(config_load("start", argc, argv, environment, config, &err), 0);
    while (argc)
        free(argv[--argc]);
}

static void load_full(struct config *config)
{
    const char *const args[] = {"--data-dir=/d",
                                "--token=" SECRET,
                                "--bootstrap-password=" SECRET,
                                "--port=8080",
                                "--disable-worker",
                                "--worker-name=w",
                                "--service-port-range=41000-41001",
                                "--worker-ip=::1",
                                "--system-reserved={\"ram\":1000.001953125,\"vram\":0}",
                                "--log-level=warning",
                                "--gateway-threads=3",
                                "--access-log=-",
                                NULL};
    load(args, config);
}

static void test_hand_over_round_trip(void **state)
{
    struct config config, copy;
    load_full(&config);
    struct buf first = {0}, second = {0};
    struct err err = {0};
    config_write(&config, &first);
    buf_add_cstr(&first, "   "); /* as the memory file is filled up */
    assert_int_equal(config_read(buf_str(&first), &copy, &err), 0);
    assert_memory_equal(copy.sources, config.sources, sizeof copy.sources);
    assert_string_equal(copy.token, SECRET);
    assert_int_equal(copy.port, 8080);
    assert_int_equal(copy.log_level, LOG_WARNING);
    assert_int_equal(copy.service_port_last, 41001);
    assert_true(copy.system_reserved_ram == config.system_reserved_ram);
    assert_true(copy.system_reserved_ram == 1024002ULL << 20);
    assert_null(copy.server_url);
    assert_string_equal(copy.access_log, "-");
    config_write(&copy, &second);
    first.len -= 3;
    assert_true(str_eq(buf_str(&first), buf_str(&second)));
    buf_fini(&first);
    buf_fini(&second);
    config_fini(&config);
    config_fini(&copy);
}

static void test_hand_over_refuses(void **state)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"port\":{\"value\":80,\"source\":\"default\"}}",
                                      "{\"port\":{\"value\":0,\"source\":\"default\"}}",
                                      "{\"port\":80}",
                                      "{\"port\":{\"value\":80,\"source\":\"x\"}}",
                                      "{\"nothing\":{\"value\":80,\"source\":\"default\"}}",
                                      "{\"host\":{\"value\":null,\"source\":\"default\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config config = {0};
        struct err err = {0};
        assert_true(config_read(str_of(bad[i]), &config, &err) < 0);
        assert_true(str_has_prefix(str_of(err.text), STR("configuration handed over: ")));
        assert_null(config.data_dir);
    }
}

static void test_public_dump_has_no_secrets(void **state)
{
    struct config config;
    load_full(&config);
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    config_write_public(&config, &w);
    assert_null(strstr(text.ptr, SECRET));
    assert_non_null(strstr(text.ptr, "\"token\":{\"source\":\"command line\"}"));
    assert_non_null(strstr(text.ptr, "\"port\":{\"value\":8080,\"source\":\"command line\"}"));
    assert_non_null(strstr(text.ptr, "\"host\":{\"value\":\"0.0.0.0\",\"source\":\"default\"}"));
    assert_non_null(strstr(text.ptr, "\"server_url\":{\"value\":null,\"source\":\"default\"}"));
    buf_fini(&text);
    config_fini(&config);
}

static void test_reload_takes_the_level_only(void **state)
{
    struct config current, fresh;
    load((const char *[]){"--data-dir=/d", "--port=80", NULL}, &current);
    load((const char *[]){"--data-dir=/d", "--port=81", "--log-level=error", NULL}, &fresh);
    log_set_level(LOG_ERROR);
    config_apply_reload(&current, &fresh);
    assert_int_equal(current.port, 80);
    assert_int_equal(current.log_level, LOG_ERROR);
    config_fini(&current);
    config_fini(&fresh);
}

static void test_help_and_manual_mention_every_option(void **state)
{
    auto_free char *help = config_help("start");
    auto_free char *manual = config_manual(".TP\nstart\n");
    assert_non_null(strstr(manual, ".SH COMMANDS\n.TP\nstart\n"));
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        auto_free char *flag = mem_printf("--%s", option->name);
        auto_free char *env = option_env(option);
        if (!strstr(help, flag))
            fprintf(stderr, "%s\n%s", flag, help);
        assert_non_null(strstr(help, flag));
        assert_non_null(strstr(manual, env));
    }
    struct str rest = str_of(help), line;
    while (str_split(&rest, '\n', &line))
        assert_true(line.len <= 80);
    auto_free char *worker = config_help("worker");
    assert_non_null(strstr(worker, "--worker-port"));
    assert_null(strstr(worker, "--database-url"));
    auto_free char *other = config_help("reset-admin-password");
    assert_non_null(strstr(other, "--data-dir"));
    assert_null(strstr(other, "--token"));
}

/* Rules of the table that no code checks at run time. */
static void test_table_is_sound(void **state)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        auto_free char *key = option_key(option);
        auto_free char *env = option_env(option);
        assert_ptr_equal(option_by_name(str_of(option->name)), option);
        assert_ptr_equal(option_by_key(str_of(key)), option);
        assert_ptr_equal(option_by_env(str_of(env + strlen("GPUSTACK_"))), option);
        assert_true(!option->metavar == (option->kind == OPTION_BOOL));
        struct config config = {0};
        if (option->fallback)
            assert_int_equal(option_parse(option, str_of(option->fallback), &config), 0);
        else
            assert_non_null(option->kind == OPTION_PATH ? option->name : option->fallback_is);
        config_fini(&config);
    }
    assert_ptr_equal(option_by_letter('t'), option_by_name(STR("token")));
    assert_null(option_by_letter('\0'));
}

static void test_secret_variables(void **state)
{
    assert_true(config_env_is_secret("GPUSTACK_TOKEN=x"));
    assert_true(config_env_is_secret("GPUSTACK_BOOTSTRAP_PASSWORD=x"));
    assert_false(config_env_is_secret("GPUSTACK_TOKENS=x"));
    assert_false(config_env_is_secret("GPUSTACK_PORT=x"));
    assert_false(config_env_is_secret("TOKEN=x"));
}

static void test_addresses(void **state)
{
    static const struct {
        const char *args[3];
        const char *url;
    } rows[] = {
        {{"--port=80"}, "http://127.0.0.1:80"},
        {{"--host=::"}, "http://[::1]:80"},
        {{"--host=10.0.0.1", "--port=81"}, "http://10.0.0.1:81"},
        {{"--server-url=https://h/"}, "https://h"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        load(rows[i].args, &config);
        auto_free char *url = config_server_url(&config);
        assert_string_equal(url, rows[i].url);
        config_fini(&config);
    }
}

static void test_token_from_file_is_checked(void **state)
{
    struct config config = {0};
    struct err err = {0};
    assert_int_equal(config_set_token(&config, "abc", &err), 0);
    assert_true(config_set_token(&config, "", &err) < 0);
    assert_true(config_set_token(&config, SECRET " x", &err) < 0);
    assert_string_equal(err.text, "the token must be text without spaces of 1 to 256 bytes");
    assert_string_equal(config.token, "abc");
    config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hand_over_round_trip),
        cmocka_unit_test(test_hand_over_refuses),
        cmocka_unit_test(test_public_dump_has_no_secrets),
        cmocka_unit_test(test_reload_takes_the_level_only),
        cmocka_unit_test(test_help_and_manual_mention_every_option),
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_secret_variables),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_token_from_file_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
