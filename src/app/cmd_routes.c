/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack routes`: names that clients may write, and the models that their requests go to. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/text_table.h"
#include "base/num.h"
#include "domain/model_route.h"

#include <stdio.h>

#define USAGE "[list | show NAME | create NAME | edit NAME | rm NAME]"

struct route_options {
    struct string_list targets, categories;
    const char *fallback, *description, *rename;
    bool no_fallback;
};

/* ---- list ---- */

/* The name of a model by its id, among `models` (NULL: only administrators see them). */
static char *name_of(const json_t *models, int64_t id)
{
    size_t i;
    json_t *model;
    json_array_foreach(models, i, model) {
        if (json_member_int(model, "id", 0) == id)
            return mem_strdup(json_member_string(model, "name"));
    }
    return mem_printf("model %lld", (long long)id);
}

/* "qwen3-8b=90, qwen3-4b=10" */
static char *targets_text(const json_t *models, const json_t *route)
{
    struct buf text = {0};
    size_t i;
    json_t *target;
    json_array_foreach(json_object_get(route, "targets"), i, target) {
        auto_free char *name = name_of(models, json_member_int(target, "model_id", 0));
        buf_printf(&text, "%s%s=%lld", i ? ", " : "", name,
                   (long long)json_member_int(target, "weight", 0));
    }
    return buf_take(&text);
}

static void add_row(struct text_table *table, const json_t *models, const json_t *route)
{
    int64_t fallback_id = json_member_int(route, "fallback_model_id", 0);
    auto_free char *targets = targets_text(models, route);
    auto_free char *fallback = fallback_id ? name_of(models, fallback_id) : mem_strdup("-");
    auto_free char *age = age_since(json_member_string(route, "created_at"));
    const char *description = json_member_string(route, "description");
    text_table_row(table, json_member_string(route, "name"), targets, fallback, age,
                   description && *description ? description : "-", NULL);
}

static int list_routes(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME", "TARGETS", "FALLBACK", "AGE", "DESCRIPTION", NULL};
    auto_fini(json_release) json_t *routes = NULL, *models = NULL;
    int rc = cli_list(cli, "/v2/model-routes", &routes, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        cli_print_json(routes);
        return 0;
    }
    struct err refused = {0};
    (void)!cli_list(cli, "/v2/models", &models, &refused); /* without: numbers for names */
    struct text_table table = {0};
    text_table_head(&table, head);
    size_t i;
    json_t *route;
    json_array_foreach(routes, i, route)
        add_row(&table, models, route);
    text_table_print(&table);
    return 0;
}

/* ---- what the options say ---- */

/* Splits "MODEL=WEIGHT"; without a weight all targets are alike. */
static int read_target(const char *text, char **ret_model, int64_t *ret_weight, struct err *err)
{
    const char *equals = strrchr(text, '=');
    *ret_weight = ROUTE_WEIGHT_DEFAULT;
    if (equals && num_parse_i64(str_of(equals + 1), 0, ROUTE_WEIGHT_MAX, ret_weight) < 0)
        return cli_usage(err, "--target must be MODEL or MODEL=WEIGHT with a weight of 0-%d, "
                         "not \"%s\"", ROUTE_WEIGHT_MAX, text);
    *ret_model = equals ? mem_strndup(text, (size_t)(equals - text)) : mem_strdup(text);
    return 0;
}

static int add_target(struct cli *cli, const char *text, json_t *array, struct err *err)
{
    auto_free char *model = NULL;
    int64_t weight, id;
    int rc = read_target(text, &model, &weight, err);
    if (rc == 0)
        rc = model_id_by_name(cli, model, &id, err);
    if (rc == 0)
        json_array_append_new(array, json_pack("{s:I,s:I}", "model_id", (json_int_t)id, "weight",
                                               (json_int_t)weight));
    return rc;
}

static int add_targets(struct cli *cli, const struct string_list *targets, json_t *body,
                       struct err *err)
{
    json_t *array = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < targets->count; i++)
        rc = add_target(cli, targets->items[i], array, err);
    if (targets->count)
        json_object_set(body, "targets", array);
    json_decref(array);
    return rc;
}

static int add_fallback(struct cli *cli, const struct route_options *options, json_t *body,
                        struct err *err)
{
    int64_t id = 0;
    if (options->fallback && options->no_fallback)
        return cli_usage(err, "--fallback and --no-fallback can't be used together");
    if (!options->fallback && !options->no_fallback)
        return 0;
    int rc = options->fallback ? model_id_by_name(cli, options->fallback, &id, err) : 0;
    if (rc == 0)
        json_object_set_new(body, "fallback_model_id", json_integer((json_int_t)id));
    return rc;
}

static void add_words(const struct string_list *words, const char *key, json_t *body)
{
    json_t *array = json_array();
    for (size_t i = 0; i < words->count; i++)
        json_array_append_new(array, json_string(words->items[i]));
    if (words->count)
        json_object_set(body, key, array);
    json_decref(array);
}

static int read_options(struct cli *cli, const struct route_options *options, json_t *body,
                        struct err *err)
{
    int rc = add_targets(cli, &options->targets, body, err);
    if (rc == 0)
        rc = add_fallback(cli, options, body, err);
    add_words(&options->categories, "categories", body);
    if (options->description)
        json_object_set_new(body, "description", json_string(options->description));
    return rc;
}

/* ---- verbs ---- */

static void print_answer(const struct cli *cli, const json_t *route, const char *said)
{
    if (cli->json)
        cli_print_json(route);
    else
        printf("%s is %s.\n", json_member_string(route, "name"), said);
}

static int create(struct cli *cli, const struct route_options *options, struct err *err)
{
    auto_fini(json_release) json_t *body = json_pack("{s:s}", "name", cli->args[1]), *made = NULL;
    if (options->targets.count == 0)
        return cli_usage(err, "create needs a --target MODEL or MODEL=WEIGHT at least");
    int rc = read_options(cli, options, body, err);
    if (rc == 0)
        rc = cli_call(cli, HTTP_POST, "/v2/model-routes", body, &made, err);
    if (rc == 0)
        print_answer(cli, made, "there");
    return rc;
}

static char *path_of(const json_t *route)
{
    return mem_printf("/v2/model-routes/%lld", (long long)json_member_int(route, "id", 0));
}

static int edit(struct cli *cli, const struct route_options *options, const json_t *route,
                struct err *err)
{
    auto_fini(json_release) json_t *body = json_object(), *changed = NULL;
    int rc = read_options(cli, options, body, err);
    if (rc < 0)
        return rc;
    if (options->rename)
        json_object_set_new(body, "name", json_string(options->rename));
    json_object_set(body, "version", json_object_get(route, "version"));
    auto_free char *path = path_of(route);
    rc = cli_call(cli, HTTP_PUT, path, body, &changed, err);
    if (rc == 0)
        print_answer(cli, changed, "changed");
    return rc;
}

static int remove_route(struct cli *cli, const json_t *route, struct err *err)
{
    auto_free char *path = path_of(route);
    int rc = cli_call(cli, HTTP_DELETE, path, NULL, NULL, err);
    if (rc == 0 && !cli->json)
        printf("%s is removed.\n", json_member_string(route, "name"));
    return rc;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct route_options *options = ctx;
    const char *verb = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(verb, "list") == 0 && cli->arg_count < 2)
        return list_routes(cli, err);
    if (cli->arg_count == 2 && strcmp(verb, "create") == 0)
        return create(cli, options, err);
    bool is_show = strcmp(verb, "show") == 0, is_edit = strcmp(verb, "edit") == 0;
    if (cli->arg_count != 2 || !(is_show || is_edit || strcmp(verb, "rm") == 0))
        return cli_usage(err, "usage: gpustack routes " USAGE);
    auto_fini(json_release) json_t *route = NULL;
    int rc = cli_find(cli, "/v2/model-routes", "name", cli->args[1], &route, err);
    if (rc == 0 && is_show)
        cli_print_json(route);
    else if (rc == 0)
        rc = is_edit ? edit(cli, options, route, err) : remove_route(cli, route, err);
    return rc;
}

int cmd_routes(int argc, char **argv)
{
    struct route_options routes = {0};
    const struct cli_option options[] = {
        {.name = "target",
         .value = "MODEL[=WEIGHT]",
         .help = "where requests go, weight 0-100 (100); repeat",
         .list = &routes.targets},
        {.name = "fallback",
         .value = "MODEL",
         .help = "serves when no target can",
         .text = &routes.fallback},
        {.name = "no-fallback", .help = "of edit: none any more", .flag = &routes.no_fallback},
        {.name = "category",
         .value = "WORD",
         .help = "llm, embedding, reranker, ...; repeat",
         .list = &routes.categories},
        {.name = "description",
         .value = "TEXT",
         .help = "for people",
         .text = &routes.description},
        {.name = "rename",
         .value = "NAME",
         .help = "of edit: another name",
         .text = &routes.rename},
        {0},
    };
    const struct cli_spec spec = {
        .command = "routes",
        .arguments = USAGE,
        .summary = "Lists, makes, changes and removes model routes: names that clients may\n"
                   "write in \"model\", and the models that their requests are shared out to.\n"
                   "A route goes before a model of the same name. Targets that edit is given\n"
                   "take the place of all that the route has. For example:\n"
                   "  gpustack routes create gpt-4 --target qwen3-8b=90 --target qwen3-4b=10",
        .options = options,
        .max_args = 2};
    int status = cli_main(&spec, argc, argv, run, &routes);
    string_list_fini(&routes.targets);
    string_list_fini(&routes.categories);
    return status;
}
