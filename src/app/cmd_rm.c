/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack rm MODEL`: takes a model out of service; its engines are stopped. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"

#include <stdio.h>

static int remove_one(struct cli *cli, const char *name, struct err *err)
{
    int64_t id;
    int rc = model_id_by_name(cli, name, &id, err);
    if (rc < 0)
        return rc;
    auto_free char *path = mem_printf("/v2/models/%lld", (long long)id);
    rc = cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
    if (rc == 0 && !cli->json)
        printf("%s is removed.\n", name);
    return rc;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < cli->arg_count; i++)
        rc = remove_one(cli, cli->args[i], err);
    if (rc == 0 && cli->json)
        puts("null");
    return rc;
}

int cmd_rm(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "rm",
        .arguments = "MODEL...",
        .summary = "Removes models: their engines are stopped, their files stay.",
        .min_args = 1,
        .max_args = 8};
    return cli_main(&spec, argc, argv, run, NULL);
}
