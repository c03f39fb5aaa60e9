/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack deploy SOURCE`: makes a model of the catalog's, of a hub or of files on workers. */
#include "app/catalog_source.h"
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

/* Where the files of a model are, as text. Returns owned. */
static char *place_of(const json_t *model)
{
    static const char *const members[] = {"local_path", "huggingface_repo_id",
                                          "huggingface_filename", "model_scope_model_id",
                                          "model_scope_file_path"};
    struct buf place = {0};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *value = json_member_string(model, members[i]);
        if (value && *value)
            buf_printf(&place, "%s%s", place.len ? " " : "", value);
    }
    return place.len ? buf_take(&place) : mem_strdup("elsewhere");
}

/* The same name and file again is what a script says when it runs twice: nothing is to do. */
static int find_same(struct cli *cli, const char *name, const json_t *body, json_t **ret,
                     struct err *err)
{
    int rc = cli_find(cli, "/v2/models", "name", name, ret, err);
    if (rc < 0)
        return rc;
    auto_free char *known = place_of(*ret), *wanted = place_of(body);
    if (strcmp(known, wanted) == 0)
        return 0;
    return err_set(err, ERR_EXISTS, "there is a model %s already, from %s; choose another --name",
                   name, known);
}

/* Where the model is to come from, and its name if no option says another one; owned. */
static int read_source(struct cli *cli, json_t **ret, char **ret_name, struct err *err)
{
    const bool is_of_catalog = catalog_source_is(cli->args[0]);
    int rc = is_of_catalog ? catalog_source_body(cli, cli->args[0], ret, err)
                           : model_spec_source(cli->args[0], ret, err);
    if (rc < 0)
        return rc;
    static const char *const places[] = {"local_path", "huggingface_repo_id",
                                         "model_scope_model_id"};
    const char *place = NULL;
    for (size_t i = 0; !place && i < ARRAY_LEN(places); i++)
        place = json_member_string(*ret, places[i]);
    *ret_name = is_of_catalog ? mem_strdup(json_member_string(*ret, "name"))
                              : model_spec_default_name(place);
    return 0;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct deploy *deploy = ctx;
    int64_t timeout_s = 0;
    if (deploy->timeout && num_parse_i64(str_of(deploy->timeout), 1, 86400, &timeout_s) < 0)
        return cli_usage(err, "--timeout must be 1-86400 seconds, not %s", deploy->timeout);
    auto_fini(json_release) json_t *body = NULL, *model = NULL;
    auto_free char *usual_name = NULL;
    int rc = read_source(cli, &body, &usual_name, err);
    if (rc < 0)
        return rc;
    const char *name = deploy->spec.name ? deploy->spec.name : usual_name;
    struct model_spec spec = deploy->spec;
    spec.name = name;
    rc = model_spec_add(&spec, body, err);
    if (rc < 0)
        return rc;
    rc = find_same(cli, name, body, &model, err);
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
        .summary = "Serves a model from a file or folder that the workers can read, from a hub\n"
                   "(hf:OWNER/REPO[/FILE], ms:OWNER/REPO[/FILE]; FILE may be a pattern; the\n"
                   "workers download it), or one of `gpustack catalog` by its NAME or\n"
                   "NAME:PRECISION.",
        .options = options,
        .min_args = 1,
        .max_args = 1,
        .rest = &deploy.spec.parameters};
    int status = cli_main(&spec, argc, argv, run, &deploy);
    model_spec_fini(&deploy.spec);
    return status;
}
