/* SPDX-License-Identifier: Apache-2.0 */
/* config_load(): sources, their precedence, faults of every kind of option. */
#include "base/file.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { ARGS_MAX = 8 };

static char folder[] = "/tmp/gpustack-config-XXXXXX";
static char *yaml_path;

static void write_yaml(const char *text)
{
    struct err err = {0};
    assert_int_equal(file_write(yaml_path, str_of(text), 0600, &err), 0);
}

/* Runs config_load() as "start" with a NULL-ended list of arguments and of variables. */
static int load(const char *const *args, const char *const *env, struct config *config,
                struct err *err)
{
    char *argv[ARGS_MAX + 1] = {mem_strdup("start")};
    char *environment[ARGS_MAX + 1] = {mem_strdup("HOME=/home/x")};
    int argc = 1, count = 1;
    for (; args && args[argc - 1]; argc++)
        argv[argc] = mem_strdup(args[argc - 1]);
    for (; env && env[count - 1]; count++)
        environment[count] = mem_strdup(env[count - 1]);
    *err = (struct err){0};
    int rc = config_load("start", argc, argv, environment, config, err);
    while (argc)
        free(argv[--argc]);
    while (count)
        free(environment[--count]);
    return rc;
}

static void test_defaults(void **state)
{
    struct config config;
    struct err err;
    assert_int_equal(load((const char *[]){"--data-dir", "/d/", NULL}, NULL, &config, &err), 0);
    assert_string_equal(config.data_dir, "/d");
    assert_string_equal(config.cache_dir, "/d/cache");
    assert_string_equal(config.bin_dir, "/d/bin");
    assert_string_equal(config.log_dir, "/d/log");
    assert_string_equal(config.database_url, "sqlite:////d/database.db");
    assert_string_equal(config_database_path(&config), "/d/database.db");
    assert_string_equal(config.host, "0.0.0.0");
    assert_int_equal(config.port, 80);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.worker_port, 10150);
    assert_int_equal(config.service_port_first, 40000);
    assert_int_equal(config.service_port_last, 40063);
    assert_true(config.system_reserved_ram == 2ULL << 30);
    assert_true(config.system_reserved_vram == 1ULL << 30);
    assert_false(config.disable_worker);
    assert_null(config.token);
    assert_null(config.server_url);
    assert_null(config.unknown_env);
    config_fini(&config);
}

/* Each row adds one stronger source for --port. */
static void test_precedence(void **state)
{
    write_yaml("port: 1001\n");
    auto_free char *file = mem_printf("--config-file=%s", yaml_path);
    const struct {
        const char *file, *env, *cli;
        int64_t port;
    } rows[] = {
        {NULL, NULL, NULL, 80},
        {file, NULL, NULL, 1001},
        {file, "GPUSTACK_PORT=1002", NULL, 1002},
        {file, "GPUSTACK_PORT=1002", "--port=1003", 1003},
        {NULL, "GPUSTACK_PORT=1002", NULL, 1002},
        {NULL, "GPUSTACK_PORT=", NULL, 80},
        {file, "GPUSTACK_PORT=", NULL, 1001},
        {file, NULL, "--port=1003", 1003},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *args[3] = {0};
        size_t count = 0;
        if (rows[i].file)
            args[count++] = rows[i].file;
        if (rows[i].cli)
            args[count++] = rows[i].cli;
        struct config config;
        struct err err;
        assert_int_equal(load(args, (const char *[]){rows[i].env, NULL}, &config, &err), 0);
        assert_int_equal(config.port, rows[i].port);
        config_fini(&config);
    }
}

static void test_spellings(void **state)
{
    struct config config;
    struct err err;
    const char *const args[] = {
        "-d", "-t", "tok", "-s", "https://h:8443//", "--worker-name=a.b-c_1", NULL};
    assert_int_equal(load(args, NULL, &config, &err), 0);
    assert_int_equal(config.log_level, LOG_DEBUG);
    assert_string_equal(config.token, "tok");
    assert_string_equal(config.server_url, "https://h:8443");
    assert_string_equal(config.worker_name, "a.b-c_1");
    config_fini(&config);
    assert_int_equal(
        load((const char *[]){"--port", "1", "--port", "2", "-h", NULL}, NULL, &config, &err), 1);
}

/* --debug and --log-level say the same thing; the stronger source is heard. */
static void test_debug_and_level(void **state)
{
    static const struct {
        const char *cli, *env;
        int level;
    } rows[] = {
        {"--debug", "GPUSTACK_LOG_LEVEL=error", LOG_DEBUG},
        {"--debug=false", "GPUSTACK_LOG_LEVEL=error", LOG_ERROR},
        {"--debug=no", "GPUSTACK_DEBUG=1", LOG_INFO},
        {"--log-level=warning", "GPUSTACK_DEBUG=true", LOG_WARNING},
        {NULL, "GPUSTACK_DEBUG=on", LOG_DEBUG},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        struct err err;
        assert_int_equal(load((const char *[]){rows[i].cli, NULL},
                              (const char *[]){rows[i].env, NULL}, &config, &err),
                         0);
        assert_int_equal(config.log_level, rows[i].level);
        config_fini(&config);
    }
}

static void test_faults_of_arguments(void **state)
{
    static const struct {
        const char *args[3];
        const char *text; /* the whole error */
    } rows[] = {
        {{"--prot", "1"}, "unknown option --prot; did you mean --port?"},
        {{"--databaseurl=x"}, "unknown option --databaseurl; did you mean --database-url?"},
        {{"--service_port_range", "1-2"},
         "unknown option --service_port_range; did you mean --service-port-range?"},
        {{"--enable-ray"}, "unknown option --enable-ray; --help lists all"},
        {{"-x"}, "unknown option -x; --help lists all"},
        {{"--"}, "unknown option --; --help lists all"},
        {{"--debug", "false"}, "unexpected argument \"false\"; options begin with --"},
        {{"--port"}, "option --port needs a value: --port PORT"},
        {{"--port", "http"},
         "command line: --port must be a whole number from 1 to 65535, not \"http\""},
        {{"--port", "0"}, "command line: --port must be a whole number from 1 to 65535, not \"0\""},
        {{"--port", "8\n"},
         "command line: --port must be a whole number from 1 to 65535, not \"8?\""},
        {{"--debug=maybe"}, "command line: --debug must be true or false, not \"maybe\""},
        {{"--log-level=loud"},
         "command line: --log-level must be error, warning, info or debug, not \"loud\""},
        {{"--host", "example.org"},
         "command line: --host must be a numeric IPv4 or IPv6 address, not \"example.org\""},
        {{"--data-dir="},
         "command line: --data-dir must be a path (made absolute) of 1 to 90 "
         "bytes, not \"\""},
        {{"--worker-name", "a b"},
         "command line: --worker-name must be a name of letters, digits, "
         "'.', '_', '-' of 1 to 63 bytes, not \"a b\""},
        {{"--server-url", "h:80"},
         "command line: --server-url must be http://HOST[:PORT] or https://HOST[:PORT], without "
         "user or query, not \"h:80\""},
        {{"--server-url", "http://u:secret@h"},
         "command line: --server-url must be http://HOST[:PORT] or https://HOST[:PORT], without "
         "user or query, not \"...@h\""},
        {{"--server-url", "http:///"},
         "command line: --server-url must be http://HOST[:PORT] or https://HOST[:PORT], without "
         "user or query, not \"http:///\""},
        {{"--database-url", "postgresql://u:secret@h/d"},
         "command line: --database-url must be sqlite:///PATH (other databases are not "
         "supported), not \"...@h/d\""},
        {{"--database-url", "sqlite:///"},
         "command line: --database-url must be sqlite:///PATH (other databases are not "
         "supported), not \"sqlite:///\""},
        {{"--service-port-range", "40010-40000"},
         "command line: --service-port-range must be FIRST-LAST with 1 <= FIRST <= LAST <= 65535, "
         "not \"40010-40000\""},
        {{"--service-port-range", "40000"},
         "command line: --service-port-range must be FIRST-LAST with 1 <= FIRST <= LAST <= 65535, "
         "not \"40000\""},
        {{"--system-reserved", "{\"ram\":-1}"},
         "command line: --system-reserved must be a JSON object of GiB like "
         "{\"ram\":2,\"vram\":1}, not \"{\"ram\":-1}\""},
        {{"--system-reserved={\"rom\":1}"},
         "command line: --system-reserved must be a JSON object of GiB like "
         "{\"ram\":2,\"vram\":1}, not \"{\"rom\":1}\""},
        {{"--token", "two words"},
         "command line: --token must be text without spaces of 1 to 256 bytes, not the value "
         "given"},
        {{"--worker-port=40001"}, "--worker-port 40001 lies in --service-port-range 40000-40063"},
        {{"--port=10150"}, "--port and --worker-port are both 10150"},
        {{"--port=40063"}, "--port 40063 lies in --service-port-range 40000-40063"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        struct err err;
        assert_true(load(rows[i].args, NULL, &config, &err) < 0);
        assert_string_equal(err.text, rows[i].text);
        assert_null(config.data_dir);
    }
}

static void test_https(void **state)
{
    struct config config;
    struct err err;
    assert_true(load((const char *[]){"--ssl-keyfile=/k", NULL}, NULL, &config, &err) < 0);
    assert_string_equal(err.text,
                        "--ssl-keyfile is given without --ssl-certfile; HTTPS needs both");
    const char *args[] = {"--ssl-keyfile=/k", "--ssl-certfile=/c", "--data-dir=/d", NULL, NULL};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(load(args, NULL, &config, &err), 0);
        auto_free char *url = config_server_url(&config);
        auto_free char *local = config_local_url(&config);
        assert_string_equal(url, i == 0 ? "https://127.0.0.1:443" : "https://127.0.0.1:80");
        assert_string_equal(local, "unix:/d/run/gateway.sock");
        config_fini(&config);
        args[3] = "--port=80";
    }
}

static void test_faults_of_environment(void **state)
{
    struct config config;
    struct err err;
    const char *env[] = {"GPUSTACK_GATEWAY_THREADS=many", NULL};
    assert_true(load((const char *[]){"--gateway-threads=2", NULL}, env, &config, &err) < 0);
    assert_string_equal(err.text,
                        "environment variable GPUSTACK_GATEWAY_THREADS: --gateway-threads "
                        "must be a whole number from 0 to 64, not \"many\"");
}

static void test_unknown_variables_are_noted(void **state)
{
    struct config config;
    struct err err;
    const char *env[] = {"GPUSTACK_PROT=1",    "GPUSTACK_API_KEY=k", "GPUSTACKX=1",
                         "GPUSTACK_HF=secret", "GPUSTACK_TYPO=",     NULL};
    assert_int_equal(load(NULL, env, &config, &err), 0);
    assert_string_equal(config.unknown_env, "GPUSTACK_PROT, GPUSTACK_HF");
    config_fini(&config);
}

static void test_data_dir_of_users(void **state)
{
    uid_t before = geteuid();
    if (before == 0) /* for the time of this test */
        assert_int_equal(seteuid(65534), 0);
    struct config config;
    struct err err;
    assert_int_equal(load(NULL, NULL, &config, &err), 0);
    assert_string_equal(config.data_dir, "/home/x/.local/share/gpustack");
    config_fini(&config);
    assert_int_equal(load(NULL, (const char *[]){"XDG_DATA_HOME=/x", NULL}, &config, &err), 0);
    assert_string_equal(config.data_dir, "/x/gpustack");
    config_fini(&config);
    if (before == 0)
        assert_int_equal(seteuid(0), 0);
}

static void test_reserved_memory(void **state)
{
    static const struct {
        const char *text;
        uint64_t ram_mib, vram_mib;
    } rows[] = {
        {"{}", 2048, 1024},
        {"{\"ram\":0}", 0, 1024},
        {"{\"memory\":4,\"gpu_memory\":0.5}", 4096, 512},
        {"{\"ram\":1.5,\"vram\":3}", 1536, 3072},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config config;
        struct err err;
        const char *args[] = {"--system-reserved", rows[i].text, NULL};
        assert_int_equal(load(args, NULL, &config, &err), 0);
        assert_int_equal(config.system_reserved_ram >> 20, rows[i].ram_mib);
        assert_int_equal(config.system_reserved_vram >> 20, rows[i].vram_mib);
        config_fini(&config);
    }
}

static void test_yaml(void **state)
{
    write_yaml("# a comment\n"
               "token: 'from file'x\n");
    auto_free char *file = mem_printf("--config-file=%s", yaml_path);
    struct config config;
    struct err err;
    assert_true(load((const char *[]){file, NULL}, NULL, &config, &err) < 0);
    write_yaml("---\ntoken: \"123\"\nport: 8080\ndisable_worker: yes\nhost:\nworker_ip: ~\n"
               "system_reserved: {ram: 3, vram: 0.5}\nservice_port_range: 40100-40110\n");
    assert_int_equal(load((const char *[]){file, NULL}, NULL, &config, &err), 0);
    assert_string_equal(config.token, "123");
    assert_int_equal(config.port, 8080);
    assert_true(config.disable_worker);
    assert_string_equal(config.host, "0.0.0.0");
    assert_null(config.worker_ip);
    assert_int_equal(config.system_reserved_ram >> 20, 3072);
    assert_int_equal(config.system_reserved_vram >> 20, 512);
    assert_int_equal(config.service_port_last, 40110);
    config_fini(&config);
    write_yaml("");
    assert_int_equal(load((const char *[]){file, NULL}, NULL, &config, &err), 0);
    config_fini(&config);
}

static void test_faults_of_yaml(void **state)
{
    static const struct {
        const char *yaml;
        const char *text; /* what follows "FILE:" */
    } rows[] = {
        {"host: 1.2.3.4\nprot: 1\n", "2: unknown key \"prot\"; did you mean \"port\"?"},
        {"data-dir: /x\n", "1: unknown key \"data-dir\"; did you mean \"data_dir\"?"},
        {"config_file: /x\n", "1: unknown key \"config_file\""},
        {"jwt_secret_key: x\n", "1: unknown key \"jwt_secret_key\""},
        {"\n\nport: 70000\n", "3: port must be a whole number from 1 to 65535, not \"70000\""},
        {"port: 1\nport: 2\n", "2: this key stands in the file twice"},
        {"port: [1]\n", "1: the value must be a single scalar"},
        {"port: {a: 1}\n", "1: the value must be a single scalar"},
        {"port: &a 1\n", "1: the value must be a single scalar"},
        {"host: *a\n", "1: the value must be a single scalar"},
        {"port: !!int 1\n", "1: the value must be a single scalar"},
        {"system_reserved: {ram: {}}\n", "1: this mapping may hold numbers only"},
        {"system_reserved: {ram: two}\n",
         "1: system_reserved must be a JSON object of GiB like {\"ram\":2,\"vram\":1}, not "
         "\"{\"ram\":two}\""},
        {"- port\n", "1: the file must be a mapping of option names to values"},
        {"port\n", "1: the file must be a mapping of option names to values"},
        {"? [a]\n: b\n", "1: the file must be a mapping of option names to values"},
        {"port: 1\n---\nport: 2\n", "2: the file must hold one document"},
        {"token: \"se cret\"\n",
         "1: token must be text without spaces of 1 to 256 bytes, not the value given"},
        {"port: 'x\n", NULL},
        {"a: \xff\n", NULL},
    };
    auto_free char *file = mem_printf("--config-file=%s", yaml_path);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_yaml(rows[i].yaml);
        struct config config;
        struct err err;
        assert_true(load((const char *[]){file, NULL}, NULL, &config, &err) < 0);
        auto_free char *whole = mem_printf("%s:%s", yaml_path, rows[i].text ? rows[i].text : "");
        if (rows[i].text)
            assert_true(str_has_prefix(str_of(err.text), str_of(whole)));
        else
            assert_non_null(strstr(err.text, yaml_path));
    }
}

static void test_missing_file(void **state)
{
    struct config config;
    struct err err;
    assert_true(load((const char *[]){"--config-file=/nowhere/x", NULL}, NULL, &config, &err) < 0);
    assert_string_equal(err.text,
                        "configuration file: can't open /nowhere/x: No such file or directory");
}

static int make_folder(void **state)
{
    assert_non_null(mkdtemp(folder));
    yaml_path = mem_printf("%s/c.yaml", folder);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(yaml_path);
    free(yaml_path);
    return rmdir(folder);
}

static void test_secrets_leave_the_arguments(void **state)
{
    char first[] = "--token", second[] = "s3cret", third[] = "--bootstrap-password=Passw0rd!";
    char fourth[] = "--port", fifth[] = "80", sixth[] = "-t", seventh[] = "again";
    char word[] = "start";
    char *argv[] = {word, first, second, third, fourth, fifth, sixth, seventh, NULL};
    config_hide_secrets((int)ARRAY_LEN(argv) - 1, argv);
    assert_string_equal(argv[2], "******");
    assert_string_equal(argv[3], "--bootstrap-password=*********");
    assert_string_equal(argv[5], "80");
    assert_string_equal(argv[7], "*****");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_debug_and_level),
        cmocka_unit_test(test_faults_of_arguments),
        cmocka_unit_test(test_https),
        cmocka_unit_test(test_faults_of_environment),
        cmocka_unit_test(test_unknown_variables_are_noted),
        cmocka_unit_test(test_data_dir_of_users),
        cmocka_unit_test(test_reserved_memory),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_faults_of_yaml),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_secrets_leave_the_arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
