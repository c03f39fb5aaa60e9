/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack keys`: one's own API keys. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/limit_options.h"
#include "app/password_prompt.h"
#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>

#define USAGE "[list | create NAME | update NAME | rm NAME]"

struct keys {
    const char *expires_in, *description, *rename;
    struct string_list scope, models;
    struct limit_options limits;
    bool custom, enable, disable;
};

static void add_key_row(struct text_table *table, const json_t *key)
{
    auto_free char *age = age_since(json_member_string(key, "created_at"));
    auto_free char *used = age_since(json_member_string(key, "last_used_at"));
    const char *expires = json_member_string(key, "expires_at");
    text_table_row(table, json_member_string(key, "name"), json_member_string(key, "access_key"),
                   json_is_true(json_object_get(key, "enabled")) ? "yes" : "no",
                   expires ? expires : "never", used, age, NULL);
}

static int list_keys(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME",    "ACCESS KEY", "ENABLED", "EXPIRES",
                                       "LAST USE", "AGE",        NULL};
    return cli_show_list(cli, "/v2/api-keys", head, add_key_row, err);
}

static json_t *strings(const struct string_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

/* Adds what the options say. */
static int read_options(const struct keys *keys, json_t *body, struct err *err)
{
    int64_t seconds = 0;
    if (keys->expires_in && num_parse_i64(str_of(keys->expires_in), 0, INT32_MAX, &seconds) < 0)
        return cli_usage(err, "--expires-in must be a number of seconds, not %s", keys->expires_in);
    if (keys->expires_in)
        json_object_set_new(body, "expires_in", json_integer((json_int_t)seconds));
    if (keys->description)
        json_object_set_new(body, "description", json_string(keys->description));
    if (keys->scope.count)
        json_object_set_new(body, "scope", strings(&keys->scope));
    if (keys->models.count)
        json_object_set_new(body, "allowed_model_names", strings(&keys->models));
    return limit_options_read(&keys->limits, body, err);
}

/* Asks for the value, or reads it from standard input: arguments can be seen by others. */
static int read_custom(json_t *body, struct err *err)
{
    char *value = NULL;
    int rc = password_prompt("Value of the key: ", &value, err);
    if (rc == 0)
        json_object_set_new(body, "custom", json_string(value));
    mem_free_secret(value);
    return rc;
}

static int create_key(struct cli *cli, const struct keys *keys, struct err *err)
{
    auto_fini(json_release) json_t *body = json_pack("{s:s}", "name", cli->args[1]);
    auto_fini(json_release) json_t *made = NULL;
    int rc = read_options(keys, body, err);
    if (rc == 0 && keys->custom)
        rc = read_custom(body, err);
    if (rc == 0)
        rc = cli_call(cli, HTTP_POST, "/v2/api-keys", body, &made, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(made);
    else if (!keys->custom)
        printf("%s\n", json_member_string(made, "value"));
    return 0;
}

static int update_key(struct cli *cli, const struct keys *keys, struct err *err)
{
    auto_fini(json_release) json_t *key = NULL, *body = json_object(), *changed = NULL;
    if (keys->enable && keys->disable)
        return cli_usage(err, "--enable and --disable can't be used together");
    int rc = cli_find(cli, "/v2/api-keys", "name", cli->args[1], &key, err);
    if (rc == 0)
        rc = read_options(keys, body, err);
    if (rc < 0)
        return rc;
    if (keys->rename)
        json_object_set_new(body, "name", json_string(keys->rename));
    if (keys->enable || keys->disable)
        json_object_set_new(body, "enabled", json_boolean(keys->enable));
    json_object_set(body, "version", json_object_get(key, "version"));
    auto_free char *path =
        mem_printf("/v2/api-keys/%lld", (long long)json_member_int(key, "id", 0));
    rc = cli_call(cli, HTTP_PUT, path, body, &changed, err);
    if (rc == 0 && cli->json)
        cli_print_json(changed);
    return rc;
}

static int remove_key(struct cli *cli, struct err *err)
{
    auto_fini(json_release) json_t *key = NULL;
    int rc = cli_find(cli, "/v2/api-keys", "name", cli->args[1], &key, err);
    if (rc < 0)
        return rc;
    auto_free char *path =
        mem_printf("/v2/api-keys/%lld", (long long)json_member_int(key, "id", 0));
    return cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct keys *keys = ctx;
    const char *verb = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(verb, "list") == 0 && cli->arg_count < 2)
        return list_keys(cli, err);
    if (cli->arg_count == 2 && strcmp(verb, "create") == 0)
        return create_key(cli, keys, err);
    if (cli->arg_count == 2 && strcmp(verb, "update") == 0)
        return update_key(cli, keys, err);
    if (cli->arg_count == 2 && strcmp(verb, "rm") == 0)
        return remove_key(cli, err);
    return cli_usage(err, "usage: gpustack keys " USAGE);
}

int cmd_keys(int argc, char **argv)
{
    struct keys keys = {0};
    const struct cli_option options[] = {
        {.name = "expires-in",
         .value = "SECONDS",
         .help = "life of the key from now on, 0 for ever",
         .text = &keys.expires_in},
        {.name = "scope",
         .value = "WORD",
         .help = "management, inference or *; repeat (all)",
         .list = &keys.scope},
        {.name = "model",
         .value = "NAME",
         .help = "allowed model or route; repeat (all)",
         .list = &keys.models},
        {.name = "description", .value = "TEXT", .help = "for people", .text = &keys.description},
        LIMIT_OPTIONS(keys.limits),
        {.name = "custom",
         .help = "of create: ask for the value instead of making one",
         .flag = &keys.custom},
        {.name = "rename",
         .value = "NAME",
         .help = "of update: another name",
         .text = &keys.rename},
        {.name = "disable", .help = "of update: refuse it everywhere", .flag = &keys.disable},
        {.name = "enable", .help = "of update: take it again", .flag = &keys.enable},
        {0},
    };
    const struct cli_spec spec = {
        .command = "keys",
        .arguments = USAGE,
        .summary = "Lists, makes, changes and removes your API keys. A fresh key is\n"
                   "shown once. A key's limits count beside those of its user.",
        .options = options,
        .max_args = 2};
    int status = cli_main(&spec, argc, argv, run, &keys);
    string_list_fini(&keys.scope);
    string_list_fini(&keys.models);
    return status;
}
