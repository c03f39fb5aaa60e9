/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack deploy SOURCE`: makes a model from a file or folder on the workers. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/model_spec.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

struct deploy {
    struct model_spec spec;
    const char *timeout;
    bool wait;
};

/* The same name and file again is what a script says when it runs twice: nothing is to do. */
static int find_same(struct cli *cli, const char *name, const char *path, json_t **ret,
                     struct err *err)
{
    int rc = cli_find(cli, "/v2/models", "name", name, ret, err);
    if (rc < 0)
        return rc;
    const char *known = json_member_string(*ret, "local_path");
    if (known && strcmp(known, path) == 0)
        return 0;
    return err_set(err, ERR_EXISTS, "there is a model %s already, from %s; choose another --name",
                   name, known ? known : "elsewhere");
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct deploy *deploy = ctx;
    int64_t timeout_s = 0;
    if (deploy->timeout && num_parse_i64(str_of(deploy->timeout), 1, 86400, &timeout_s) < 0)
        return cli_usage(err, "--timeout must be 1-86400 seconds, not %s", deploy->timeout);
    auto_fini(json_release) json_t *body = NULL, *model = NULL;
    int rc = model_spec_source(cli->args[0], false, &body, err);
    if (rc < 0)
        return rc;
    const char *path = json_member_string(body, "local_path");
    auto_free char *name = deploy->spec.name ? mem_strdup(deploy->spec.name)
                                             : model_spec_default_name(path);
    struct model_spec spec = deploy->spec;
    spec.name = name;
    rc = model_spec_add(&spec, body, err);
    if (rc < 0)
        return rc;
    rc = find_same(cli, name, path, &model, err);
    bool is_new = rc == ERR_NOT_FOUND;
    if (is_new)
        rc = cli_call(cli, HTTP_POST, "/v2/models", body, &model, err);
    if (rc == 0 && deploy->wait)
        rc = model_wait(cli, json_member_int(model, "id", 0), timeout_s * 1000, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(model);
    else
        printf("%s is %s.\n", name, is_new ? "deployed" : "deployed already");
    return 0;
}

int cmd_deploy(int argc, char **argv)
{
    struct deploy deploy = {0};
    const struct cli_option options[] = {
        {.name = "name", .value = "NAME", .text = &deploy.spec.name,
         .help = "what clients write in \"model\""},
        {.name = "replicas", .value = "N", .text = &deploy.spec.replicas,
         .help = "instances to run (1)"},
        {.name = "backend", .value = "ENGINE", .text = &deploy.spec.backend,
         .help = "engine (chosen by files and devices)"},
        {.name = "backend-version", .value = "VERSION", .text = &deploy.spec.version,
         .help = "version of the engine"},
        {.name = "backend-parameters", .value = "ARG", .list = &deploy.spec.parameters,
         .help = "argument of the engine; repeat, or put all behind --"},
        {.name = "env", .value = "KEY=VALUE", .list = &deploy.spec.env,
         .help = "environment of the engine; repeat"},
        {.name = "category", .value = "WORD", .list = &deploy.spec.categories,
         .help = "llm, embedding, reranker, ...; repeat"},
        {.name = "worker-selector", .value = "KEY=VALUE", .list = &deploy.spec.selectors,
         .help = "label that a worker must have; repeat"},
        {.name = "gpu-ids", .value = "WORKER:TYPE:N", .list = &deploy.spec.gpu_ids,
         .help = "device that it may have; repeat"},
        {.name = "priority", .value = "N", .text = &deploy.spec.priority,
         .help = "of those that wait, the higher is placed first (0)"},
        {.name = "placement-strategy", .value = "WORD", .text = &deploy.spec.strategy,
         .help = "auto, spread or binpack (auto)"},
        {.name = "no-restart", .flag = &deploy.spec.no_restart,
         .help = "leave a failed engine as it is"},
        {.name = "wait", .help = "until all replicas run", .flag = &deploy.wait},
        {.name = "timeout", .value = "SECONDS", .text = &deploy.timeout,
         .help = "of --wait (none)"},
        {0},
    };
    const struct cli_spec spec = {
        .command = "deploy",
        .arguments = "SOURCE [-- ENGINE ARGUMENTS]",
        .summary = "Serves a model from a file or folder that the workers can read.",
        .options = options,
        .min_args = 1,
        .max_args = 1,
        .rest = &deploy.spec.parameters};
    int status = cli_main(&spec, argc, argv, run, &deploy);
    model_spec_fini(&deploy.spec);
    return status;
}
