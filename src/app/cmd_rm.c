/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack rm MODEL`: takes a model out of service; its engines are stopped. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"

#include <stdio.h>

static int remove_one(struct cli *cli, const char *name, bool cascades, struct err *err)
{
    int64_t id;
    int rc = model_id_by_name(cli, name, &id, err);
    if (rc < 0)
        return rc;
    auto_free char *path =
        mem_printf("/v2/models/%lld%s", (long long)id, cascades ? "?cascade=true" : "");
    rc = cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
    if (rc == 0 && !cli->json)
        printf("%s is removed.\n", name);
    return rc;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const bool *cascades = ctx;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < cli->arg_count; i++)
        rc = remove_one(cli, cli->args[i], *cascades, err);
    if (rc == 0 && cli->json)
        puts("null");
    return rc;
}

int cmd_rm(int argc, char **argv)
{
    bool cascades = false;
    const struct cli_option options[] = {
        {.name = "cascade",
         .help = "also out of the routes that name it; one without targets goes",
         .flag = &cascades},
        {0},
    };
    const struct cli_spec spec = {
        .command = "rm",
        .arguments = "MODEL...",
        .summary = "Removes models: their engines are stopped, their files stay.",
        .options = options,
        .min_args = 1,
        .max_args = 8};
    return cli_main(&spec, argc, argv, run, &cascades);
}
