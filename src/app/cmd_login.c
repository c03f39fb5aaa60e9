/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `gpustack login`: proves who the user is, makes an API key for this machine's command line and
 * stores it. With --local over the server's admin socket, for root and the server's own user.
 */
#include "app/app.h"
#include "app/cli.h"
#include "app/command.h"
#include "app/credentials.h"
#include "app/password_prompt.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

/* Replaces the key of an earlier login of this machine; the answer's "value" is the new one. */
static int make_key(struct cli *cli, char **ret_key, struct err *err)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    auto_free char *name = mem_printf("gpustack login on %s", host);
    auto_fini(json_release) json_t *old = NULL, *made = NULL;
    int rc = cli_find(cli, "/v2/api-keys", "name", name, &old, err);
    if (rc == 0) {
        auto_free char *path =
            mem_printf("/v2/api-keys/%lld", (long long)json_member_int(old, "id", 0));
        rc = cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
    }
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    auto_fini(json_release) json_t *body = json_pack("{s:s}", "name", name);
    rc = cli_call(cli, HTTP_POST, "/v2/api-keys", body, &made, err);
    if (rc < 0)
        return rc;
    *ret_key = mem_strdup(json_member_string(made, "value"));
    return *ret_key ? 0 : err_set(err, ERR_PROTOCOL, "the server made a key without a value");
}

static int change_password(struct cli *cli, const char *current, struct err *err)
{
    fprintf(stderr, "The password must be changed before anything else.\n");
    char *fresh = NULL;
    int rc = password_prompt_new(&fresh, err);
    if (rc < 0)
        return rc;
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:s}", "current_password", current, "new_password", fresh);
    mem_free_secret(fresh);
    return cli_call(cli, HTTP_POST, "/auth/update-password", body, NULL, err);
}

static int sign_in(struct cli *cli, const char *username, struct err *err)
{
    auto_free char *question = mem_printf("Password of %s at %s: ", username, cli->server_url);
    char *password = NULL;
    int rc = password_prompt(question, &password, err);
    if (rc < 0)
        return rc;
    auto_fini(json_release) json_t *body =
        json_pack("{s:s,s:s}", "username", username, "password", password);
    auto_fini(json_release) json_t *who = NULL;
    mem_free_secret(TAKE(cli->bearer));
    rc = cli_call(cli, HTTP_POST, "/auth/login", body, &who, err);
    if (rc == 0 && json_is_true(json_object_get(who, "require_password_change")))
        rc = change_password(cli, password, err);
    mem_free_secret(password);
    return rc;
}

/* Points the client at the admin socket; the server's public address goes to `*ret_url` (owned). */
static int use_admin_socket(struct cli *cli, const char *data_dir, char **ret_url, struct err *err)
{
    auto_free char *dir = cli_data_dir(data_dir);
    auto_free char *url_file = mem_printf("%s/run/server_url", dir);
    int rc = file_read_line(url_file, PATH_BYTES, ret_url, err);
    if (rc < 0)
        return err_wrap(err, ERR_NOT_FOUND, "no server has run on %s", dir);
    return cli_use_admin_socket(cli, dir, err);
}

static int store(const char *server_url, const char *key, struct err *err)
{
    struct credentials credentials = {.server_url = mem_strdup(server_url),
                                      .api_key = mem_strdup(key)};
    int rc = credentials_save(&credentials, err);
    credentials_fini(&credentials);
    return rc;
}

struct login {
    bool local;
    const char *username, *data_dir;
};

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct login *login = ctx;
    auto_free char *url = NULL;
    int rc = cli->arg_count ? cli_set_server(cli, cli->args[0], err) : 0;
    if (rc == 0 && login->local)
        rc = use_admin_socket(cli, login->data_dir, &url, err);
    else if (rc == 0)
        rc = sign_in(cli, login->username, err);
    if (!url)
        url = mem_strdup(cli->server_url);
    char *key = NULL;
    if (rc == 0)
        rc = make_key(cli, &key, err);
    if (rc == 0)
        rc = store(url, key, err);
    mem_free_secret(key);
    if (rc == 0 && !login->local)
        printf("Signed in to %s.\n", url);
    return rc;
}

int cmd_login(int argc, char **argv)
{
    struct login login = {.username = "admin"};
    const struct cli_option options[] = {
        {.name = "username",
         .letter = 'u',
         .value = "NAME",
         .help = "default: admin",
         .text = &login.username},
        {.name = "local",
         .help = "as the administrator, on the server's own machine",
         .flag = &login.local},
        {.name = "data-dir",
         .value = "DIR",
         .help = "the server's data folder, for --local",
         .text = &login.data_dir},
        {0},
    };
    const struct cli_spec spec = {
        .command = "login",
        .arguments = "[URL]",
        .summary = "Signs in and stores an API key for the other commands. The password is\n"
                   "asked for, or read from standard input.",
        .options = options,
        .max_args = 1};
    return cli_main(&spec, argc, argv, run, &login);
}
