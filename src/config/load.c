/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "config/load_priv.h"

#include <assert.h>
#include <errno.h>

enum { FILE_MAX_BYTES = 256 << 10, HTTPS_PORT = 443 };

unsigned config_roles(const char *command)
{
    static const struct {
        const char *command;
        unsigned roles;
    } table[] = {{"start", ROLE_START},
                 {"control", ROLE_CONTROL},
                 {"gateway", ROLE_GATEWAY},
                 {"worker", ROLE_WORKER},
                 {"config", ROLE_START}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(command, table[i].command) == 0)
            return table[i].roles;
    return ROLE_OTHER;
}

void settings_put(struct settings *settings, enum config_source source, const struct option *option,
                  struct str text)
{
    struct setting *setting = &settings->of[source][option_index(option)];
    mem_free_secret(setting->text);
    setting->text = str_dup(text);
}

void settings_fini(struct settings *settings)
{
    for (size_t source = 0; source < SOURCE_COUNT; source++)
        for (size_t i = 0; i < CONFIG_OPTION_MAX; i++)
            mem_free_secret(settings->of[source][i].text);
    free(settings->unknown_env);
    memset(settings, 0, sizeof *settings);
}

/* "/etc/gpustack.yaml:3: port", "command line: --port": where a faulty value was found. Owned. */
static char *describe_source(const struct settings *settings, enum config_source source,
                             const struct option *option)
{
    switch (source) {
    case CONFIG_FILE: {
        auto_free char *key = option_key(option);
        return mem_printf("%s:%u: %s", settings->file,
                          settings->of[source][option_index(option)].line, key);
    }
    case CONFIG_ENV: {
        auto_free char *env = option_env(option);
        return mem_printf("environment variable %s: --%s", env, option->name);
    }
    case CONFIG_CLI:
        return mem_printf("command line: --%s", option->name);
    case CONFIG_DEFAULT:
        break;
    }
    return mem_printf("default of --%s", option->name);
}

static int apply_setting(const struct settings *settings, enum config_source source,
                         const struct option *option, struct config *config, struct err *err)
{
    const struct setting *setting = &settings->of[source][option_index(option)];
    if (!setting->text)
        return 0;
    if (option_parse(option, str_of(setting->text), config) < 0) {
        auto_free char *where = describe_source(settings, source, option);
        auto_free char *allowed = option_allowed(option);
        auto_free char *seen = option_quote(option, str_of(setting->text));
        return err_set(err, ERR_INVALID, "%s must be %s, not %s", where, allowed, seen);
    }
    config->sources[option_index(option)] = (unsigned char)source;
    return 0;
}

/* All values of one source; a faulty one is an error even where a stronger source has another. */
static int apply_source(const struct settings *settings, enum config_source source,
                        struct config *config, struct err *err)
{
    for (size_t i = 0; i < config_option_count; i++) {
        int rc = apply_setting(settings, source, &config_options[i], config, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void put_defaults(struct settings *settings)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].fallback)
            settings_put(settings, CONFIG_DEFAULT, &config_options[i],
                         str_of(config_options[i].fallback));
}

/* Reads the file that command line or environment name; the path becomes config_file. */
static int read_file(struct settings *settings, struct config *config, struct err *err)
{
    if (!config->config_file)
        return 0;
    settings->file = config->config_file;
    struct buf text = {0};
    int rc = file_read(settings->file, FILE_MAX_BYTES, &text, err);
    if (rc < 0)
        err_wrap(err, rc, "configuration file");
    else
        rc = settings_read_yaml(settings, buf_str(&text), err);
    if (text.cap)
        explicit_bzero(text.ptr, text.cap);
    buf_fini(&text);
    return rc;
}

char *config_default_data_dir(char *const *environment)
{
    if (geteuid() == 0)
        return mem_strdup("/var/lib/gpustack");
    const char *home = NULL;
    for (; *environment; environment++) {
        if (strncmp(*environment, "XDG_DATA_HOME=/", 15) == 0)
            return mem_printf("%s/gpustack", *environment + 14);
        if (strncmp(*environment, "HOME=/", 6) == 0)
            home = *environment + 5;
    }
    return home ? mem_printf("%s/.local/share/gpustack", home) : NULL;
}

static void put_under_data_dir(char **slot, const struct config *config, const char *name)
{
    if (!*slot)
        *slot = mem_printf("%s/%s", config->data_dir, name);
}

/* Defaults that depend on other options. */
static int derive(struct config *config, char *const *environment, struct err *err)
{
    if (!config->data_dir) {
        auto_free char *path = config_default_data_dir(environment);
        const struct option *option = option_by_name(STR("data-dir"));
        if (!path || option_parse(option, str_of(path), config) < 0)
            return err_set(err, ERR_INVALID, "there is no good default for --data-dir; give one");
    }
    put_under_data_dir(&config->cache_dir, config, "cache");
    put_under_data_dir(&config->bin_dir, config, "bin");
    put_under_data_dir(&config->log_dir, config, "log");
    if (!config->database_url)
        config->database_url =
            mem_printf("%s%s/database.db", CONFIG_SQLITE_PREFIX, config->data_dir);
    size_t port = option_index(option_by_name(STR("port")));
    if (config->ssl_certfile && config->sources[port] == CONFIG_DEFAULT)
        config->port = HTTPS_PORT;
    size_t debug = option_index(option_by_name(STR("debug")));
    size_t level = option_index(option_by_name(STR("log-level")));
    if (config->debug && config->sources[debug] >= config->sources[level]) {
        config->log_level = LOG_DEBUG;
        config->sources[level] = config->sources[debug];
    }
    return 0;
}

/* Options that are fine each but not together. */
static int check_together(const struct config *config, struct err *err)
{
    int64_t first = config->service_port_first, last = config->service_port_last;
    if (!config->ssl_certfile != !config->ssl_keyfile)
        return err_set(err, ERR_INVALID, "--%s is given without --%s; HTTPS needs both",
                       config->ssl_certfile ? "ssl-certfile" : "ssl-keyfile",
                       config->ssl_certfile ? "ssl-keyfile" : "ssl-certfile");
    if (config->worker_port >= first && config->worker_port <= last)
        return err_set(err, ERR_INVALID,
                       "--worker-port %lld lies in --service-port-range %lld-%lld",
                       (long long)config->worker_port, (long long)first, (long long)last);
    if (config->server_url)
        return 0;
    if (!config->disable_worker && config->port == config->worker_port)
        return err_set(err, ERR_INVALID, "--port and --worker-port are both %lld",
                       (long long)config->port);
    if (!config->disable_worker && config->port >= first && config->port <= last)
        return err_set(err, ERR_INVALID, "--port %lld lies in --service-port-range %lld-%lld",
                       (long long)config->port, (long long)first, (long long)last);
    return 0;
}

static int resolve(struct settings *settings, struct config *config, char *const *environment,
                   struct err *err)
{
    const struct option *config_file = option_by_name(STR("config-file"));
    int rc = 0;
    for (enum config_source source = CONFIG_ENV; rc == 0 && source <= CONFIG_CLI; source++)
        rc = apply_setting(settings, source, config_file, config, err);
    if (rc == 0)
        rc = read_file(settings, config, err);
    for (enum config_source source = CONFIG_DEFAULT; rc == 0 && source <= CONFIG_CLI; source++)
        rc = apply_source(settings, source, config, err);
    if (rc == 0)
        rc = derive(config, environment, err);
    return rc < 0 ? rc : check_together(config, err);
}

int config_load(const char *command, int argc, char *const *argv, char *const *environment,
                struct config *ret, struct err *err)
{
    assert(argc > 0);
    memset(ret, 0, sizeof *ret);
    struct settings settings = {0};
    int rc = settings_read_cli(&settings, config_roles(command), argc, argv, err);
    if (rc == 0) {
        put_defaults(&settings);
        settings_read_env(&settings, environment);
        rc = resolve(&settings, ret, environment, err);
    }
    if (rc == 0)
        ret->unknown_env = TAKE(settings.unknown_env);
    else
        config_fini(ret);
    settings_fini(&settings);
    return rc;
}
