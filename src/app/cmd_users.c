/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack users [list | create NAME | rm NAME]`, and `gpustack reset-admin-password`. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/password_prompt.h"
#include "app/text_table.h"
#include "auth/auth.h"

#include <stdio.h>

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

static int create_user(struct cli *cli, bool is_admin, struct err *err)
{
    char *password = NULL;
    int rc = password_prompt_new(&password, err);
    if (rc < 0)
        return rc;
    auto_fini(json_release) json_t *body = json_pack("{s:s,s:s,s:b}", "username", cli->args[1],
                                                     "password", password, "is_admin", is_admin);
    mem_free_secret(password);
    auto_fini(json_release) json_t *made = NULL;
    rc = cli_call(cli, HTTP_POST, "/v2/users", body, &made, err);
    if (rc == 0 && cli->json)
        cli_print_json(made);
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
    const bool *is_admin = ctx;
    const char *verb = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(verb, "list") == 0 && cli->arg_count < 2)
        return list_users(cli, err);
    if (cli->arg_count == 2 && strcmp(verb, "create") == 0)
        return create_user(cli, *is_admin, err);
    if (cli->arg_count == 2 && strcmp(verb, "rm") == 0)
        return remove_user(cli, err);
    return cli_usage(err, "usage: gpustack users [list | create NAME | rm NAME]");
}

int cmd_users(int argc, char **argv)
{
    bool is_admin = false;
    const struct cli_option options[] = {
        {.name = "admin", .help = "of create: make an administrator", .flag = &is_admin},
        {0},
    };
    const struct cli_spec spec = {
        .command = "users",
        .arguments = "[list | create NAME | rm NAME]",
        .summary = "Lists, makes and removes users. The password of a new one is\n"
                   "asked for, or read from standard input.",
        .options = options,
        .max_args = 2};
    return cli_main(&spec, argc, argv, run, &is_admin);
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
