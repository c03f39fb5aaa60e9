/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack deploy SOURCE`: makes a model from a file or folder on the workers. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "base/num.h"
#include "domain/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct deploy {
    const char *name, *replicas, *backend, *version, *timeout;
    struct string_list parameters, env, categories, selectors;
    bool wait, no_restart;
};

/* The file's name without folders, ".gguf" and the number of its part. Returns owned. */
static char *default_name(const char *path)
{
    struct str rest = str_of(path);
    while (rest.len > 1 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    const char *slash = memrchr(rest.ptr, '/', rest.len);
    struct str base = slash ? str_skip(rest, (size_t)(slash - rest.ptr) + 1) : rest;
    if (str_has_suffix(base, STR(".gguf")))
        base.len -= 5;
    return str_dup(base);
}

static int add_pairs(json_t *body, const char *key, const struct string_list *pairs,
                     const char *option, struct err *err)
{
    if (pairs->count == 0)
        return 0;
    json_t *map = json_object();
    json_object_set_new(body, key, map);
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        if (!equals || equals == pairs->items[i])
            return cli_usage(err, "--%s must be KEY=VALUE, not \"%s\"", option, pairs->items[i]);
        auto_free char *name = mem_strndup(pairs->items[i], (size_t)(equals - pairs->items[i]));
        json_object_set_new(map, name, json_string(equals + 1));
    }
    return 0;
}

static void add_list(json_t *body, const char *key, const struct string_list *list)
{
    if (list->count == 0)
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    json_object_set_new(body, key, array);
}

static int check_source(const char *source, char **ret_path, struct err *err)
{
    static const char *const hubs[] = {"hf.co/", "huggingface:", "modelscope:", "ollama:", "http"};
    for (size_t i = 0; i < ARRAY_LEN(hubs); i++)
        if (strncmp(source, hubs[i], strlen(hubs[i])) == 0)
            return cli_usage(
                err, "this version deploys from a path on the workers, not from \"%s\"", source);
    char real[PATH_MAX];
    /* The path need not be there on this machine, but a relative one means this folder. */
    if (source[0] == '/')
        *ret_path = mem_strdup(source);
    else if (realpath(source, real))
        *ret_path = mem_strdup(real);
    else
        return cli_usage(err, "there is no file %s here; name a path on the workers from /",
                         source);
    return 0;
}

static int make_body(const struct deploy *deploy, const char *path, const char *name, json_t **ret,
                     struct err *err)
{
    int64_t replicas = 1;
    if (deploy->replicas &&
        num_parse_i64(str_of(deploy->replicas), 0, MODEL_REPLICAS_MAX, &replicas) < 0)
        return cli_usage(err, "--replicas must be 0-%d, not %s", MODEL_REPLICAS_MAX,
                         deploy->replicas);
    json_t *body =
        json_pack("{s:s,s:s,s:s,s:I,s:b}", "name", name, "source", "local_path", "local_path", path,
                  "replicas", (json_int_t)replicas, "restart_on_error", !deploy->no_restart);
    if (deploy->backend)
        json_object_set_new(body, "backend", json_string(deploy->backend));
    if (deploy->version)
        json_object_set_new(body, "backend_version", json_string(deploy->version));
    add_list(body, "backend_parameters", &deploy->parameters);
    add_list(body, "categories", &deploy->categories);
    int rc = add_pairs(body, "env", &deploy->env, "env", err);
    if (rc == 0)
        rc = add_pairs(body, "worker_selector", &deploy->selectors, "worker-selector", err);
    if (rc < 0)
        json_decref(body);
    else
        *ret = body;
    return rc;
}

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
    auto_free char *path = NULL;
    auto_fini(json_release) json_t *body = NULL, *model = NULL;
    int rc = check_source(cli->args[0], &path, err);
    if (rc < 0)
        return rc;
    auto_free char *name = deploy->name ? mem_strdup(deploy->name) : default_name(path);
    rc = make_body(deploy, path, name, &body, err);
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

static void deploy_fini(struct deploy *deploy)
{
    string_list_fini(&deploy->parameters);
    string_list_fini(&deploy->env);
    string_list_fini(&deploy->categories);
    string_list_fini(&deploy->selectors);
}

int cmd_deploy(int argc, char **argv)
{
    struct deploy deploy = {0};
    const struct cli_option options[] = {
        {.name = "name",
         .value = "NAME",
         .help = "what clients write in \"model\"",
         .text = &deploy.name},
        {.name = "replicas",
         .value = "N",
         .help = "instances to run (1)",
         .text = &deploy.replicas},
        {.name = "backend",
         .value = "ENGINE",
         .help = "engine (chosen from the file)",
         .text = &deploy.backend},
        {.name = "backend-version",
         .value = "VERSION",
         .help = "version of the engine",
         .text = &deploy.version},
        {.name = "backend-parameters",
         .value = "ARG",
         .help = "argument of the engine; repeat, or put all behind --",
         .list = &deploy.parameters},
        {.name = "env",
         .value = "KEY=VALUE",
         .help = "environment of the engine; repeat",
         .list = &deploy.env},
        {.name = "category",
         .value = "WORD",
         .help = "llm, embedding, reranker, ...; repeat",
         .list = &deploy.categories},
        {.name = "worker-selector",
         .value = "KEY=VALUE",
         .help = "label that a worker must have; repeat",
         .list = &deploy.selectors},
        {.name = "no-restart",
         .help = "leave a failed engine as it is",
         .flag = &deploy.no_restart},
        {.name = "wait", .help = "until all replicas run", .flag = &deploy.wait},
        {.name = "timeout",
         .value = "SECONDS",
         .help = "of --wait (none)",
         .text = &deploy.timeout},
        {0},
    };
    const struct cli_spec spec = {
        .command = "deploy",
        .arguments = "SOURCE [-- ENGINE ARGUMENTS]",
        .summary = "Serves a model from a file or folder that the workers can read.",
        .options = options,
        .min_args = 1,
        .max_args = 1,
        .rest = &deploy.parameters};
    int status = cli_main(&spec, argc, argv, run, &deploy);
    deploy_fini(&deploy);
    return status;
}
