/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack users`, and `gpustack reset-admin-password`. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/limit_options.h"
#include "app/password_prompt.h"
#include "app/text_table.h"
#include "auth/auth.h"

#include <stdio.h>

#define USAGE "[list | create NAME | update NAME | rm NAME]"

struct user_options {
    bool is_admin;
    struct limit_options limits;
};

static void add_user_row(struct text_table *table, const json_t *user)
{
    auto_free char *age = age_since(json_member_string(user, "created_at"));
    const char *full_name = json_member_string(user, "full_name");
    text_table_row(table, json_member_string(user, "username"),
                   full_name && *full_name ? full_name : "-",
                   json_is_true(json_object_get(user, "is_admin")) ? "admin" : "user",
                   json_is_true(json_object_get(user, "is_active")) ? "yes" : "no", age, NULL);
}

static int list_users(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME", "FULL NAME", "ROLE", "ACTIVE", "AGE", NULL};
    return cli_show_list(cli, "/v2/users", head, add_user_row, err);
}

static int create_user(struct cli *cli, const struct user_options *options, struct err *err)
{
    auto_fini(json_release) json_t *made = NULL, *body = json_pack(
        "{s:s,s:b}", "username", cli->args[1], "is_admin", options->is_admin);
    char *password = NULL;
    int rc = limit_options_read(&options->limits, body, err);
    if (rc == 0)
        rc = password_prompt_new(&password, err);
    if (rc < 0)
        return rc;
    json_object_set_new(body, "password", json_string(password));
    mem_free_secret(password);
    rc = cli_call(cli, HTTP_POST, "/v2/users", body, &made, err);
    if (rc == 0 && cli->json)
        cli_print_json(made);
    return rc;
}

static int update_user(struct cli *cli, const struct user_options *options, struct err *err)
{
    auto_fini(json_release) json_t *user = NULL, *body = json_object(), *changed = NULL;
    int rc = limit_options_read(&options->limits, body, err);
    if (rc == 0 && json_object_size(body) == 0)
        rc = cli_usage(err, "update needs an option that sets a limit");
    if (rc == 0)
        rc = cli_find(cli, "/v2/users", "username", cli->args[1], &user, err);
    if (rc < 0)
        return rc;
    json_object_set(body, "version", json_object_get(user, "version"));
    auto_free char *path = mem_printf("/v2/users/%lld", (long long)json_member_int(user, "id", 0));
    rc = cli_call(cli, HTTP_PUT, path, body, &changed, err);
    if (rc == 0 && cli->json)
        cli_print_json(changed);
    return rc;
}

static int remove_user(struct cli *cli, struct err *err)
{
    auto_fini(json_release) json_t *user = NULL;
    int rc = cli_find(cli, "/v2/users", "username", cli->args[1], &user, err);
    if (rc < 0)
        return rc;
    auto_free char *path = mem_printf("/v2/users/%lld", (long long)json_member_int(user, "id", 0));
    return cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct user_options *options = ctx;
    const char *verb = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(verb, "list") == 0 && cli->arg_count < 2)
        return list_users(cli, err);
    if (cli->arg_count == 2 && strcmp(verb, "create") == 0)
        return create_user(cli, options, err);
    if (cli->arg_count == 2 && strcmp(verb, "update") == 0)
        return update_user(cli, options, err);
    if (cli->arg_count == 2 && strcmp(verb, "rm") == 0)
        return remove_user(cli, err);
    return cli_usage(err, "usage: gpustack users " USAGE);
}

int cmd_users(int argc, char **argv)
{
    struct user_options users = {0};
    const struct cli_option options[] = {
        {.name = "admin", .help = "of create: make an administrator", .flag = &users.is_admin},
        LIMIT_OPTIONS(users.limits),
        {0},
    };
    const struct cli_spec spec = {
        .command = "users",
        .arguments = USAGE,
        .summary = "Lists, makes, changes and removes users. The password of a new one\n"
                   "is asked for, or read from standard input. A user's limits are for\n"
                   "all keys and logins of the user together.",
        .options = options,
        .max_args = 2};
    return cli_main(&spec, argc, argv, run, &users);
}

/* ---- reset-admin-password ---- */

static int reset(struct cli *cli, void *ctx, struct err *err)
{
    const char *const *data_dir = ctx;
    auth_init();
    auto_fini(json_release) json_t *admin = NULL;
    auto_free char *dir = cli_data_dir(*data_dir);
    int rc = cli_use_admin_socket(cli, dir, err);
    if (rc == 0)
        rc = cli_find(cli, "/v2/users", "username", "admin", &admin, err);
    if (rc < 0)
        return rc;
    char *fresh = auth_password_make();
    auto_free char *path = mem_printf("/v2/users/%lld", (long long)json_member_int(admin, "id", 0));
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:b,s:b}", "password", fresh, "require_password_change", 1, "is_active", 1);
    rc = cli_call(cli, HTTP_PUT, path, body, NULL, err);
    if (rc == 0)
        printf("%s\n", fresh);
    mem_free_secret(fresh);
    return rc;
}

int cmd_reset_admin_password(int argc, char **argv)
{
    const char *data_dir = NULL;
    const struct cli_option options[] = {
        {.name = "data-dir", .value = "DIR", .help = "the server's data folder", .text = &data_dir},
        {0},
    };
    const struct cli_spec spec = {
        .command = "reset-admin-password",
        .arguments = "",
        .summary = "Gives the user admin a new password and prints it; it must be\n"
                   "changed at the next login. On the server's own machine, as root\n"
                   "or the server's user, while the server runs.",
        .options = options};
    return cli_main(&spec, argc, argv, reset, &data_dir);
}
