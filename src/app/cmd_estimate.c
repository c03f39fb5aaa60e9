/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack estimate`: how much memory a model's files would need. Asks no server. */
#include "app/cli.h"
#include "app/command.h"
#include "base/num.h"
#include "estimate/estimate.h"
#include "weights/weights.h"

#include <errno.h>
#include <stdio.h>

struct estimate_options {
    const char *engine, *version, *file, *draft, *projector, *devices, *memory, *vendor;
    bool explain, unified, remote;
    struct string_list parameters;
};

/* "24GiB", "24G" (the same), "80GB", "500M", or bytes. */
static int parse_size(const char *text, uint64_t *ret, struct err *err)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"", 1},          {"K", 0x1p10},   {"M", 0x1p20},   {"G", 0x1p30},  {"T", 0x1p40},
                 {"KiB", 0x1p10},  {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"B", 1},
                 {"KB", 1e3},      {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
    char *end;
    const double number = strtod(text, &end);
    for (size_t i = 0; end != text && i < ARRAY_LEN(units); i++) {
        const double bytes = number * units[i].factor;
        if (strcmp(end, units[i].suffix) != 0 || !(bytes >= 1) || bytes > 0x1p50)
            continue;
        *ret = (uint64_t)bytes;
        return 0;
    }
    return cli_usage(err, "--device-memory must be a size such as 24GiB, up to 1024 TiB, not "
                          "\"%.80s\"", text);
}

static int parse_count(const char *text, int64_t *ret, struct err *err)
{
    if (num_parse_i64(str_of(text), 0, ESTIMATE_DEVICES_MAX, ret) == 0)
        return 0;
    return cli_usage(err, "--devices must be a number from 0 to %d, not \"%.80s\"",
                     ESTIMATE_DEVICES_MAX, text);
}

static int make_devices(const struct estimate_options *options, struct estimate_device *devices,
                        size_t *ret_count, struct err *err)
{
    int64_t count = options->memory ? 1 : 0;
    uint64_t bytes = 0;
    int rc = 0;
    if (options->devices)
        rc = parse_count(options->devices, &count, err);
    if (rc == 0 && options->memory)
        rc = parse_size(options->memory, &bytes, err);
    for (int64_t i = 0; rc == 0 && i < count; i++)
        devices[i] = (struct estimate_device){.vendor = options->vendor,
                                              .total_bytes = bytes,
                                              .is_unified = options->unified,
                                              .is_remote = options->remote};
    *ret_count = (size_t)count;
    return rc;
}

/* --- output ------------------------------------------------------------------------------- */

static void add_place(struct text_table *table, const char *name,
                      const struct estimate_place *place)
{
    auto_free char *sum = num_format_bytes(estimate_place_bytes(place));
    char *cells[ESTIMATE_PART_COUNT];
    for (int i = 0; i < ESTIMATE_PART_COUNT; i++)
        cells[i] = place->parts[i] ? num_format_bytes(place->parts[i]) : mem_strdup("-");
    text_table_row(table, name, sum, cells[0], cells[1], cells[2], cells[3], cells[4], cells[5],
                   NULL);
    for (int i = 0; i < ESTIMATE_PART_COUNT; i++)
        free(cells[i]);
}

static void print_table(const struct estimate *estimate)
{
    static const char *const head[] = {"PLACE",   "MEMORY",  "WEIGHTS", "CACHE", "STATE",
                                       "COMPUTE", "GRAPHS",  "RUNTIME", NULL};
    struct text_table table = {0};
    text_table_head(&table, head);
    for (size_t i = 0; i < estimate->device_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "device %zu", i);
        add_place(&table, name, &estimate->devices[i]);
    }
    add_place(&table, "host", &estimate->host);
    text_table_print(&table);
}

static void print_verdict(const struct estimate *estimate)
{
    if (estimate->context_length)
        printf("engine %s, context %llu\n", estimate_engine_name(estimate->engine),
               (unsigned long long)estimate->context_length);
    else
        printf("engine %s\n", estimate_engine_name(estimate->engine));
    if (!estimate->fits)
        printf("does not fit: %s\n", estimate->advice);
}

static void print_estimate(const struct cli *cli, const struct estimate_options *options,
                           const struct estimate *estimate)
{
    struct buf out = {0};
    if (cli->json) {
        struct json_writer w = json_writer_into(&out);
        estimate_write(estimate, &w);
        puts(out.ptr);
    } else if (options->explain) {
        estimate_explain(estimate, &out);
        fputs(out.ptr, stdout);
        print_verdict(estimate);
    } else {
        print_table(estimate);
        print_verdict(estimate);
    }
    buf_fini(&out);
}

/* --- the command -------------------------------------------------------------------------- */

static int read_shape(const char *path, const char *file, struct model_shape *ret,
                      struct err *err)
{
    struct source *source = NULL;
    int rc = source_open_path(path, &source, err);
    if (rc < 0) /* not a server that doesn't answer */
        return rc == -ENOENT ? ERR_NOT_FOUND : rc;
    rc = weights_read(source, file ? file : "", ret, err);
    source_free(source);
    return rc < 0 ? err_wrap(err, rc, "%s", path) : 0;
}

/* The model, and what is loaded beside it. */
struct shapes {
    struct model_shape model, draft, projector;
};

static void shapes_fini(struct shapes *shapes)
{
    model_shape_fini(&shapes->model);
    model_shape_fini(&shapes->draft);
    model_shape_fini(&shapes->projector);
}

static int read_shapes(const char *path, const struct estimate_options *options,
                       struct shapes *ret, struct err *err)
{
    int rc = read_shape(path, options->file, &ret->model, err);
    if (rc == 0 && options->draft)
        rc = read_shape(options->draft, NULL, &ret->draft, err);
    if (rc == 0 && options->projector)
        rc = read_shape(options->projector, NULL, &ret->projector, err);
    return rc;
}

static int run_estimate(struct cli *cli, void *ctx, struct err *err)
{
    const struct estimate_options *options = ctx;
    struct estimate_device devices[ESTIMATE_DEVICES_MAX];
    auto_fini(shapes_fini) struct shapes shapes = {0};
    struct estimate_request request = {
        .shape = &shapes.model,
        .draft = options->draft ? &shapes.draft : NULL,
        .projector = options->projector ? &shapes.projector : NULL,
        .engine = estimate_engine_of(str_of(options->engine)),
        .version = options->version,
        .argv = (const char *const *)options->parameters.items,
        .argc = options->parameters.count,
        .devices = devices,
    };
    int rc = make_devices(options, devices, &request.device_count, err);
    if (rc == 0)
        rc = read_shapes(cli->args[0], options, &shapes, err);
    if (rc < 0)
        return rc;
    auto_fini(estimate_fini) struct estimate estimate = {0};
    rc = estimate_model(&request, &estimate, err);
    if (rc == 0)
        print_estimate(cli, options, &estimate);
    return rc;
}

int cmd_estimate(int argc, char **argv)
{
    struct estimate_options options = {0};
    const struct cli_option table[] = {
        {.name = "engine", .value = "NAME", .text = &options.engine,
         .help = "llama.cpp, vllm, sglang, mindie, audio, diffusion or custom (default: by files)"},
        {.name = "version", .value = "V", .text = &options.version,
         .help = "the engine's version (default: the newest that is known)"},
        {.name = "file", .value = "NAME", .text = &options.file,
         .help = "GGUF file of a folder with several; may be a pattern"},
        {.name = "draft", .value = "PATH", .text = &options.draft,
         .help = "model that drafts for it (speculative decoding)"},
        {.name = "projector", .value = "PATH", .text = &options.projector,
         .help = "mmproj file that isn't in the model's folder"},
        {.name = "devices", .value = "N", .text = &options.devices,
         .help = "number of devices (default: 0, or 1 with --device-memory)"},
        {.name = "device-memory", .value = "SIZE", .text = &options.memory,
         .help = "memory of each device, such as 24GiB"},
        {.name = "vendor", .value = "NAME", .text = &options.vendor,
         .help = "of the devices, such as nvidia or ascend"},
        {.name = "unified", .flag = &options.unified,
         .help = "the devices share the host's memory"},
        {.name = "remote", .flag = &options.remote,
         .help = "the devices are lent by other machines over RPC"},
        {.name = "explain", .flag = &options.explain,
         .help = "print each summand with its formula"},
        {0}};
    const struct cli_spec spec = {.command = "estimate",
                                  .arguments = "PATH [-- ENGINE PARAMETERS]",
                                  .summary = "Tells how much memory the model of a file or folder "
                                             "needs, and asks no server.",
                                  .options = table,
                                  .min_args = 1,
                                  .max_args = 1,
                                  .rest = &options.parameters,
                                  .is_local = true};
    const int status = cli_main(&spec, argc, argv, run_estimate, &options);
    string_list_fini(&options.parameters);
    return status;
}
