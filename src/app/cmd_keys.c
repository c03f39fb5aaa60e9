/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack keys [list | create NAME | rm NAME]`: one's own API keys. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>

struct keys {
    const char *expires_in;
    struct string_list scope, models;
};

static void add_key_row(struct text_table *table, const json_t *key)
{
    auto_free char *age = age_since(json_member_string(key, "created_at"));
    const char *expires = json_member_string(key, "expires_at");
    text_table_row(table, json_member_string(key, "name"), json_member_string(key, "access_key"),
                   expires ? expires : "never", age, NULL);
}

static int list_keys(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME", "ACCESS KEY", "EXPIRES", "AGE", NULL};
    return cli_show_list(cli, "/v2/api-keys", head, add_key_row, err);
}

static json_t *strings(const struct string_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    return array;
}

static int create_key(struct cli *cli, const struct keys *keys, struct err *err)
{
    int64_t seconds = 0;
    if (keys->expires_in && num_parse_i64(str_of(keys->expires_in), 0, INT32_MAX, &seconds) < 0)
        return cli_usage(err, "--expires-in must be a number of seconds, not %s", keys->expires_in);
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:I,s:o,s:o}", "name", cli->args[1], "expires_in", (json_int_t)seconds,
                  "scope", strings(&keys->scope), "allowed_model_names", strings(&keys->models));
    auto_fini(json_release) json_t *made = NULL;
    int rc = cli_call(cli, HTTP_POST, "/v2/api-keys", body, &made, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(made);
    else
        printf("%s\n", json_member_string(made, "value"));
    return 0;
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
    if (cli->arg_count == 2 && strcmp(verb, "rm") == 0)
        return remove_key(cli, err);
    return cli_usage(err, "usage: gpustack keys [list | create NAME | rm NAME]");
}

int cmd_keys(int argc, char **argv)
{
    struct keys keys = {0};
    const struct cli_option options[] = {
        {.name = "expires-in",
         .value = "SECONDS",
         .help = "of create: life of the key (for ever)",
         .text = &keys.expires_in},
        {.name = "scope",
         .value = "WORD",
         .help = "of create: management, inference; repeat (all)",
         .list = &keys.scope},
        {.name = "model",
         .value = "NAME",
         .help = "of create: allowed model; repeat (all)",
         .list = &keys.models},
        {0},
    };
    const struct cli_spec spec = {
        .command = "keys",
        .arguments = "[list | create NAME | rm NAME]",
        .summary = "Lists, makes and removes your API keys. A fresh key is shown "
                   "once.",
        .options = options,
        .max_args = 2};
    int status = cli_main(&spec, argc, argv, run, &keys);
    string_list_fini(&keys.scope);
    string_list_fini(&keys.models);
    return status;
}
