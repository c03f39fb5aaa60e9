/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack files`: model files on workers: what is there, what is on its way, what can go. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/model_spec.h"
#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define USAGE                                                                                      \
    "[list | get ID | fetch SOURCE | pause ID | resume ID | retry ID | delete ID]"

struct file_options {
    const char *worker; /* of fetch */
    bool cleanup;       /* of delete */
};

/* ---- list ---- */

/* "hf:acme/hello/x.gguf", or the local path. Returns owned. */
static char *source_text(const json_t *file)
{
    const char *source = json_member_string(file, "source");
    if (source && strcmp(source, "local_path") == 0)
        return mem_strdup(json_member_string(file, "local_path"));
    bool is_huggingface = source && strcmp(source, "huggingface") == 0;
    const char *repo = json_member_string(file, is_huggingface ? "huggingface_repo_id"
                                                               : "model_scope_model_id");
    const char *pattern = json_member_string(file, is_huggingface ? "huggingface_filename"
                                                                  : "model_scope_file_path");
    return mem_printf("%s:%s%s%s", is_huggingface ? "hf" : "ms", repo ? repo : "",
                      pattern && *pattern ? "/" : "", pattern ? pattern : "");
}

/* "hello, other" or "-". Returns owned. */
static char *models_text(const json_t *file)
{
    struct buf text = {0};
    size_t i;
    json_t *model;
    json_array_foreach(json_object_get(file, "models"), i, model)
        buf_printf(&text, "%s%s", i ? ", " : "", json_member_string(model, "name"));
    return text.len ? buf_take(&text) : mem_strdup("-");
}

/* "5.0 MiB/s, 2 min" while it is fetched; else "-". Returns owned. */
static char *rate_text(const json_t *file)
{
    int64_t eta_s = json_member_int(file, "eta_s", 0);
    if (json_member_int(file, "bytes_per_second", 0) <= 0)
        return mem_strdup("-");
    auto_free char *rate = bytes_text(file, "bytes_per_second");
    if (eta_s <= 0)
        return mem_printf("%s/s", rate);
    return eta_s < 120 ? mem_printf("%s/s, %lld s", rate, (long long)eta_s)
                       : mem_printf("%s/s, %lld min", rate, (long long)(eta_s + 59) / 60);
}

static void add_row(struct text_table *table, const json_t *file)
{
    auto_free char *id = mem_printf("%lld", (long long)json_member_int(file, "id", 0));
    auto_free char *source = source_text(file);
    auto_free char *size = bytes_text(file, "size");
    auto_free char *done = mem_printf(
        "%.0f%%", json_number_value(json_object_get(file, "download_progress")));
    auto_free char *rate = rate_text(file);
    auto_free char *models = models_text(file);
    const char *worker = json_member_string(file, "worker_name");
    const char *message = json_member_string(file, "state_message");
    text_table_row(table, id, source, worker ? worker : "-", json_member_string(file, "state"),
                   size, done, rate, models, message && *message ? message : "-", NULL);
}

static int list_files(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"ID",   "SOURCE", "WORKER", "STATE",   "SIZE",
                                       "DONE", "RATE",   "MODELS", "MESSAGE", NULL};
    return cli_show_list(cli, "/v2/model-files", head, add_row, err);
}

/* ---- one file ---- */

static void print_answer(const struct cli *cli, const json_t *file, const char *said)
{
    auto_free char *source = source_text(file);
    if (cli->json)
        cli_print_json(file);
    else
        printf("%s (model file %lld) %s.\n", source, (long long)json_member_int(file, "id", 0),
               said);
}

static int post(struct cli *cli, const char *id, const char *verb, const char *said,
                struct err *err)
{
    auto_fini(json_release) json_t *file = NULL;
    auto_free char *path = mem_printf("/v2/model-files/%s/%s", id, verb);
    int rc = cli_call(cli, HTTP_POST, path, NULL, &file, err);
    if (rc == 0)
        print_answer(cli, file, said);
    return rc;
}

static int get(struct cli *cli, const char *id, const struct file_options *options,
               struct err *err)
{
    auto_fini(json_release) json_t *file = NULL;
    auto_free char *path = mem_printf("/v2/model-files/%s", id);
    int rc = cli_call(cli, HTTP_GET, path, NULL, &file, err);
    if (rc == 0)
        cli_print_json(file);
    return rc;
}

static int pause_file(struct cli *cli, const char *id, const struct file_options *options,
                      struct err *err)
{
    return post(cli, id, "pause", "is paused", err);
}

static int resume(struct cli *cli, const char *id, const struct file_options *options,
                  struct err *err)
{
    return post(cli, id, "resume", "goes on", err);
}

static int retry(struct cli *cli, const char *id, const struct file_options *options,
                 struct err *err)
{
    return post(cli, id, "reset", "is tried again", err);
}

static int delete_file(struct cli *cli, const char *id, const struct file_options *options,
                       struct err *err)
{
    auto_free char *path =
        mem_printf("/v2/model-files/%s%s", id, options->cleanup ? "?cleanup=true" : "");
    int rc = cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
    if (rc == 0 && !cli->json)
        printf("Model file %s is %s.\n", id,
               options->cleanup ? "being deleted, its files too"
                                : "forgotten; what is complete stays on the disk");
    return rc;
}

/* ---- fetch ---- */

static int fetch(struct cli *cli, const char *source, const struct file_options *options,
                 struct err *err)
{
    auto_fini(json_release) json_t *body = NULL, *worker = NULL, *file = NULL;
    if (!options->worker)
        return cli_usage(err, "fetch needs a --worker NAME, into whose storage it is to go");
    int rc = model_spec_source(source, &body, err);
    if (rc == 0)
        rc = cli_find(cli, "/v2/workers", "name", options->worker, &worker, err);
    if (rc < 0)
        return rc;
    json_object_set(body, "worker_id", json_object_get(worker, "id"));
    rc = cli_call(cli, HTTP_POST, "/v2/model-files", body, &file, err);
    if (rc == 0)
        print_answer(cli, file, "is to be downloaded");
    return rc;
}

static const struct {
    const char *word;
    bool takes_id;
    int (*run)(struct cli *cli, const char *what, const struct file_options *options,
               struct err *err);
} verbs[] = {
    {"get", true, get},       {"fetch", false, fetch}, {"pause", true, pause_file},
    {"resume", true, resume}, {"retry", true, retry},  {"delete", true, delete_file},
};

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const char *word = cli->arg_count ? cli->args[0] : "list";
    int64_t id;
    if (strcmp(word, "list") == 0 && cli->arg_count < 2)
        return list_files(cli, err);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(word, verbs[i].word) != 0 || cli->arg_count != 2)
            continue;
        if (verbs[i].takes_id && num_parse_i64(str_of(cli->args[1]), 1, INT64_MAX, &id) < 0)
            return cli_usage(err, "ID is a number, as `gpustack files` lists them, not \"%s\"",
                             cli->args[1]);
        return verbs[i].run(cli, cli->args[1], ctx, err);
    }
    return cli_usage(err, "usage: gpustack files " USAGE);
}

int cmd_files(int argc, char **argv)
{
    struct file_options files = {0};
    const struct cli_option options[] = {
        {.name = "worker",
         .value = "NAME",
         .help = "of fetch: into whose storage",
         .text = &files.worker},
        {.name = "cleanup",
         .help = "of delete: removes the files from the disk, too",
         .flag = &files.cleanup},
        {0},
    };
    const struct cli_spec spec = {
        .command = "files",
        .arguments = USAGE,
        .summary = "Lists model files on workers: downloads of hubs, and local paths as the\n"
                   "workers found them. Downloads can be begun before a model needs them\n"
                   "(fetch hf:OWNER/REPO/FILE, ms:OWNER/REPO; FILE may be a pattern), paused,\n"
                   "resumed, tried again now and deleted. Files at local paths are never\n"
                   "touched. For example:\n"
                   "  gpustack files fetch 'hf:Qwen/Qwen3-0.6B-GGUF/*Q8_0*' --worker node1",
        .options = options,
        .max_args = 2};
    return cli_main(&spec, argc, argv, run, &files);
}
