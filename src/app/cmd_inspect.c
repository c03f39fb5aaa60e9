/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack inspect PATH|URL`: what a model is made of, from files here or on a hub. */
#include "app/cli.h"
#include "app/command.h"
#include "app/model_text.h"
#include "hub/hub.h"
#include "weights/weights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct inspect {
    const char *file; /* --file, or NULL */
};

static void print(const struct cli *cli, const struct model_shape *shape)
{
    if (!cli->json) {
        model_text_print(shape);
        return;
    }
    auto_fini(buf_fini) struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_object(&w);
    model_text_write(shape, &w);
    json_end_object(&w);
    puts(out.ptr);
}

/* A file that isn't there is no such thing, and not a server that doesn't answer. */
static int open_source(const char *place, const struct hub_params *params, struct source **ret,
                       struct err *err)
{
    if (hub_is_place(place))
        return hub_open(place, params, ret, err);
    const int rc = source_open_path(place, ret, err);
    return rc == -ENOENT ? ERR_NOT_FOUND : rc;
}

/* A place as errors name it: a URL without its query, which may be a signature. */
static struct str public_text(const char *place)
{
    return str_sub(place, hub_is_place(place) ? strcspn(place, "?#") : strlen(place));
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct inspect *inspect = ctx;
    auto_fini(model_shape_fini) struct model_shape shape = {0};
    struct source *source = NULL;
    struct hub_params params;
    hub_params_from_environment(&params);
    params.ca_file = cli->ca_file;
    int rc = open_source(cli->args[0], &params, &source, err);
    if (rc == 0)
        rc = weights_read(source, inspect->file ? inspect->file : "", &shape, err);
    if (rc < 0 && source)
        err_wrap(err, rc, "%.*s", STR_ARGS(public_text(cli->args[0])));
    source_free(source);
    if (rc < 0)
        return rc;
    print(cli, &shape);
    return 0;
}

int cmd_inspect(int argc, char **argv)
{
    struct inspect inspect = {0};
    const struct cli_option options[] = {
        {.name = "file",
         .value = "PATTERN",
         .help = "which of several models: a name, or \"*Q4_K_M*\"",
         .text = &inspect.file},
        {0},
    };
    const struct cli_spec spec = {.command = "inspect",
                                  .arguments = "PATH|URL|hf:OWNER/REPO|ms:OWNER/REPO",
                                  .summary = "Shows what a model is made of: architecture, layers "
                                             "and their bytes, caches. Only\n"
                                             "headers are read, of hubs some MB. HF_ENDPOINT, "
                                             "HF_TOKEN, MODELSCOPE_ENDPOINT\n"
                                             "and MODELSCOPE_API_TOKEN are heeded.",
                                  .options = options,
                                  .min_args = 1,
                                  .max_args = 1,
                                  .is_local = true};
    return cli_main(&spec, argc, argv, run, &inspect);
}
