/* SPDX-License-Identifier: Apache-2.0 */
/* A finished configuration: hand-over to a role, dump for people, reload, what follows from it. */
#include "config/option_priv.h"

#include <errno.h>

static const char *const source_names[] = {[CONFIG_DEFAULT] = "default",
                                           [CONFIG_FILE] = "file",
                                           [CONFIG_ENV] = "environment",
                                           [CONFIG_CLI] = "command line"};

void config_fini(struct config *config)
{
    for (size_t i = 0; i < config_option_count; i++)
        option_fini(&config_options[i], config);
    free(config->unknown_env);
    memset(config, 0, sizeof *config);
}

static const char *source_name(const struct config *config, const struct option *option)
{
    return source_names[config->sources[option_index(option)]];
}

/* {"port": {"value": 80, "source": "default"}, ...} */
static void write_option(const struct option *option, const struct config *config, bool with_value,
                         struct json_writer *w)
{
    auto_free char *key = option_key(option);
    json_add_key(w, key);
    json_begin_object(w);
    if (with_value) {
        json_add_key(w, "value");
        option_write(option, config, w);
    }
    json_put_string(w, "source", source_name(config, option));
    json_end_object(w);
}

void config_write(const struct config *config, struct buf *out)
{
    struct json_writer w = json_writer_into(out);
    json_begin_object(&w);
    for (size_t i = 0; i < config_option_count; i++)
        if (option_is_set(&config_options[i], config))
            write_option(&config_options[i], config, true, &w);
    json_end_object(&w);
}

void config_write_public(const struct config *config, struct json_writer *w)
{
    json_begin_object(w);
    for (size_t i = 0; i < config_option_count; i++) {
        bool is_secret = config_options[i].flags & OPTION_SECRET;
        write_option(&config_options[i], config, !is_secret, w);
    }
    json_end_object(w);
}

/* A value of config_write() as the text that option_parse() takes. Returns owned, or NULL. */
static char *value_text(const json_t *value)
{
    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    if (!value)
        return NULL;
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_add_tree(&w, value);
    return buf_take(&text);
}

static int read_source(const char *name, unsigned char *ret)
{
    for (size_t i = 0; name && i < ARRAY_LEN(source_names); i++) {
        if (strcmp(name, source_names[i]) == 0) {
            *ret = (unsigned char)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int read_option(const char *key, const json_t *object, struct config *config)
{
    const struct option *option = option_by_key(str_of(key));
    char *text = value_text(json_object_get(object, "value"));
    int rc = -EINVAL;
    if (option && text)
        rc = option_parse(option, str_of(text), config);
    if (rc == 0)
        rc = read_source(json_member_string(object, "source"),
                         &config->sources[option_index(option)]);
    mem_free_secret(text);
    return rc;
}

int config_read(struct str json, struct config *ret, struct err *err)
{
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(json, &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "configuration handed over");
    if (!json_is_object(root))
        return err_set(err, ERR_INVALID, "configuration handed over: not a JSON object");
    struct config config = {0};
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        if (read_option(key, value, &config) < 0) {
            config_fini(&config);
            return err_set(err, ERR_INVALID, "configuration handed over: bad value of %.60s", key);
        }
    }
    if (!config.data_dir || !config.database_url || !config.host) {
        config_fini(&config);
        return err_set(err, ERR_INVALID, "configuration handed over: not complete");
    }
    *ret = config;
    return 0;
}

/* Whether an option has the same value in both. */
static bool is_same(const struct option *option, const struct config *a, const struct config *b)
{
    struct buf texts[2] = {{0}, {0}};
    const struct config *const configs[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        struct json_writer w = json_writer_into(&texts[i]);
        option_write(option, configs[i], &w);
    }
    bool same = str_eq(buf_str(&texts[0]), buf_str(&texts[1]));
    for (size_t i = 0; i < 2; i++) {
        explicit_bzero(texts[i].ptr, texts[i].len);
        buf_fini(&texts[i]);
    }
    return same;
}

/* Logs although this folder otherwise doesn't: a reload has no caller to hand a sentence to. */
void config_apply_reload(struct config *current, const struct config *fresh)
{
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        if (!(option->flags & OPTION_RELOADABLE) && !is_same(option, current, fresh))
            log_warning("config", "--%s has changed; that takes effect at the next restart",
                        option->name);
    }
    if (current->log_level != fresh->log_level)
        log_info("config", "log level is now %s", log_level_name((enum log_level)fresh->log_level));
    current->log_level = fresh->log_level;
    current->debug = fresh->debug;
}

int config_set_token(struct config *config, const char *token, struct err *err)
{
    const struct option *option = option_by_name(STR("token"));
    if (option_parse(option, str_of(token), config) == 0)
        return 0;
    auto_free char *allowed = option_allowed(option);
    return err_set(err, ERR_INVALID, "the token must be %s", allowed);
}

char *config_control_socket(const struct config *config)
{
    return mem_printf("%s/run/control.sock", config->data_dir);
}

char *config_gateway_socket(const struct config *config)
{
    return mem_printf("%s/run/gateway.sock", config->data_dir);
}

char *config_admin_socket(const struct config *config)
{
    return mem_printf("%s/run/admin.sock", config->data_dir);
}

const char *config_database_path(const struct config *config)
{
    return config->database_url + strlen(CONFIG_SQLITE_PREFIX);
}

const char *config_local_host(const struct config *config)
{
    if (strcmp(config->host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(config->host, "::") == 0 ? "::1" : config->host;
}

char *config_server_url(const struct config *config)
{
    if (config->server_url)
        return mem_strdup(config->server_url);
    const char *host = config_local_host(config);
    bool is_v6 = strchr(host, ':');
    return mem_printf("%s://%s%s%s:%lld", config->ssl_certfile ? "https" : "http",
                      is_v6 ? "[" : "", host, is_v6 ? "]" : "", (long long)config->port);
}

char *config_local_url(const struct config *config)
{
    if (!config->ssl_certfile)
        return config_server_url(config);
    auto_free char *path = config_gateway_socket(config);
    return mem_printf("unix:%s", path);
}
