/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack models`: what is served, in all its settings; see also deploy, ps and rm. */
#include "app/cli.h"
#include "app/command.h"
#include "app/edits.h"
#include "app/instances.h"
#include "app/limit_options.h"
#include "app/text_table.h"
#include "base/num.h"
#include "domain/model.h"

#include <stdio.h>

#define USAGE "[list | VERB MODEL [NAME|GENERATION] [KEY=VALUE]...]"

enum { FIRST_EDIT = 2, FIRST_CLONE_EDIT = 3 };

struct model_options {
    struct limit_options limits;
    const char *first_byte_timeout;
};

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static void add_row(struct text_table *table, const json_t *model)
{
    auto_free char *ready =
        mem_printf("%lld/%lld", (long long)json_member_int(model, "ready_replicas", 0),
                   (long long)json_member_int(model, "replicas", 0));
    auto_free char *version = mem_printf("%lld", (long long)json_member_int(model, "version", 0));
    auto_free char *age = age_since(json_member_string(model, "created_at"));
    text_table_row(table, json_member_string(model, "name"), ready,
                   json_member_string(model, "source"),
                   or_dash(json_member_string(model, "backend")), version, age,
                   or_dash(json_member_string(model, "description")), NULL);
}

static int list_models(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME",    "READY", "SOURCE",      "BACKEND",
                                       "VERSION", "AGE",   "DESCRIPTION", NULL};
    return cli_show_list(cli, "/v2/models", head, add_row, err);
}

static char *path_of(const json_t *model, const char *suffix)
{
    return mem_printf("/v2/models/%lld%s", (long long)json_member_int(model, "id", 0), suffix);
}

/* A line per field that has a value. */
static void print_fields(const json_t *model)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)model, key, value) {
        auto_free char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
        if (json_is_string(value))
            printf("%s: %s\n", key, json_string_value(value));
        else if (!json_is_null(value))
            printf("%s: %s\n", key, text ? text : "");
    }
}

static void print_answer(const struct cli *cli, const json_t *model, const char *said)
{
    if (cli->json)
        cli_print_json(model);
    else if (said)
        printf("%s %s.\n", json_member_string(model, "name"), said);
    else
        print_fields(model);
}

/* ---- verbs; each gets the model as it is ---- */

static int show(struct cli *cli, const struct model_options *options, const json_t *model,
                struct err *err)
{
    print_answer(cli, model, NULL);
    return 0;
}

static int call(struct cli *cli, const json_t *model, const char *suffix, const char *said,
                struct err *err)
{
    auto_free char *path = path_of(model, suffix);
    auto_fini(json_release) json_t *answer = NULL;
    int rc = cli_call(cli, HTTP_POST, path, NULL, &answer, err);
    if (rc == 0)
        print_answer(cli, answer, said);
    return rc;
}

static int start(struct cli *cli, const struct model_options *options, const json_t *model,
                 struct err *err)
{
    return call(cli, model, "/start", "is started", err);
}

static int stop(struct cli *cli, const struct model_options *options, const json_t *model,
                struct err *err)
{
    return call(cli, model, "/stop", "is stopped; its settings stay", err);
}

/* Adds what the options say. */
static int read_options(const struct model_options *options, json_t *body, struct err *err)
{
    const char *text = options->first_byte_timeout;
    int64_t seconds = 0;
    if (text && num_parse_i64(str_of(text), 0, MODEL_FIRST_BYTE_S_MAX, &seconds) < 0)
        return cli_usage(err, "--first-byte-timeout must be 0-%d seconds, not %s",
                         MODEL_FIRST_BYTE_S_MAX, text);
    if (text)
        json_object_set_new(body, "first_byte_timeout", json_integer((json_int_t)seconds));
    return limit_options_read(&options->limits, body, err);
}

static int edit(struct cli *cli, const struct model_options *options, const json_t *model,
                struct err *err)
{
    auto_fini(json_release) json_t *changes = json_object(), *answer = NULL;
    int rc = read_options(options, changes, err);
    if (rc == 0 && cli->arg_count == FIRST_EDIT && json_object_size(changes) == 0)
        rc = cli_usage(err, "edit needs KEY=VALUE or an option");
    if (rc == 0)
        rc = edits_read(&cli->args[FIRST_EDIT], cli->arg_count - FIRST_EDIT, model, changes, err);
    if (rc < 0)
        return rc;
    auto_free char *path = path_of(model, "");
    json_object_set(changes, "version", json_object_get(model, "version"));
    rc = cli_call(cli, HTTP_PUT, path, changes, &answer, err);
    if (rc == 0)
        rc = edits_check(changes, answer, err);
    if (rc == 0)
        print_answer(cli, answer, "is changed");
    return rc;
}

static int clone(struct cli *cli, const struct model_options *options, const json_t *model,
                 struct err *err)
{
    auto_fini(json_release) json_t *copy = json_copy((json_t *)(uintptr_t)model), *answer = NULL;
    int rc = read_options(options, copy, err);
    if (rc == 0)
        rc = edits_read(&cli->args[FIRST_CLONE_EDIT], cli->arg_count - FIRST_CLONE_EDIT, model,
                        copy, err);
    if (rc < 0)
        return rc;
    json_object_set_new(copy, "name", json_string(cli->args[2]));
    rc = cli_call(cli, HTTP_POST, "/v2/models", copy, &answer, err);
    if (rc == 0)
        print_answer(cli, answer, "is there");
    return rc;
}

static void add_revision(struct text_table *table, const json_t *revision)
{
    auto_free char *generation =
        mem_printf("%lld", (long long)json_member_int(revision, "generation", 0));
    auto_free char *age = age_since(json_member_string(revision, "created_at"));
    auto_free char *settings =
        json_dumps(json_object_get(revision, "settings"), JSON_COMPACT | JSON_PRESERVE_ORDER);
    text_table_row(table, generation, age, settings ? settings : "", NULL);
}

static int revisions(struct cli *cli, const struct model_options *options, const json_t *model,
                     struct err *err)
{
    static const char *const head[] = {"GENERATION", "AGE", "SETTINGS", NULL};
    auto_free char *path = path_of(model, "/revisions");
    return cli_show_list(cli, path, head, add_revision, err);
}

static int rollback(struct cli *cli, const struct model_options *options, const json_t *model,
                    struct err *err)
{
    int64_t generation = 0;
    if (cli->arg_count > 2 &&
        num_parse_i64(str_of(cli->args[2]), 1, INT64_MAX, &generation) < 0)
        return cli_usage(err, "GENERATION must be a number of models revisions, not \"%s\"",
                         cli->args[2]);
    auto_free char *path = path_of(model, "/rollback");
    auto_fini(json_release) json_t *body = json_object(), *answer = NULL;
    json_object_set_new(body, "generation", json_integer(generation));
    int rc = cli_call(cli, HTTP_POST, path, body, &answer, err);
    if (rc == 0)
        print_answer(cli, answer, "has its earlier settings again");
    return rc;
}

static const struct verb {
    const char *word;
    unsigned min_args, max_args; /* with verb and name */
    int (*run)(struct cli *cli, const struct model_options *options, const json_t *model,
               struct err *err);
} verbs[] = {
    {"show", 2, 2, show},
    {"start", 2, 2, start},
    {"stop", 2, 2, stop},
    {"edit", FIRST_EDIT, 8, edit},
    {"clone", FIRST_CLONE_EDIT, 8, clone},
    {"revisions", 2, 2, revisions},
    {"rollback", 2, 3, rollback},
};

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const char *word = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(word, "list") == 0 && cli->arg_count < 2)
        return list_models(cli, err);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(word, verbs[i].word) != 0 || cli->arg_count < verbs[i].min_args ||
            cli->arg_count > verbs[i].max_args)
            continue;
        auto_fini(json_release) json_t *model = NULL;
        int rc = cli_find(cli, "/v2/models", "name", cli->args[1], &model, err);
        return rc < 0 ? rc : verbs[i].run(cli, ctx, model, err);
    }
    return cli_usage(err, "usage: gpustack models " USAGE);
}

int cmd_models(int argc, char **argv)
{
    struct model_options edits = {0};
    const struct cli_option options[] = {
        LIMIT_OPTIONS(edits.limits),
        {.name = "first-byte-timeout",
         .value = "SECONDS",
         .help = "from a request to the response's first byte, 0 for ever",
         .text = &edits.first_byte_timeout},
        {0},
    };
    const struct cli_spec spec = {
        .command = "models",
        .arguments = USAGE,
        .summary = "Lists models, or does with one what the VERB says:\n"
                   "  show, start, stop\n"
                   "  edit MODEL [KEY=VALUE]...          changes settings\n"
                   "  clone MODEL NAME [KEY=VALUE]... makes a copy, with changes if any are given\n"
                   "  revisions MODEL                    lists the settings that it had\n"
                   "  rollback MODEL [GENERATION]        gives it those of a generation, or the\n"
                   "                                     ones before the present\n"
                   "Options are for edit and clone. Values are\n"
                   "JSON, or text where the field is one: replicas=2,\n"
                   "env='{\"A\":\"1\"}', backend=null, description='my model'.",
        .options = options,
        .max_args = 8};
    return cli_main(&spec, argc, argv, run, &edits);
}
