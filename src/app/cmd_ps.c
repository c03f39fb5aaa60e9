/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack ps`: models and their instances, with what they do and why. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/place_text.h"
#include "app/text_table.h"

#include <stdio.h>
#include <string.h>

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

/* One that drains still runs, but takes nothing new. */
static const char *state_of(const json_t *instance)
{
    bool drains = json_is_true(json_object_get(instance, "is_draining"));
    return drains ? "draining" : json_member_string(instance, "state");
}

static void add_instance_row(struct text_table *table, const json_t *instance)
{
    auto_free char *restarts =
        mem_printf("%lld", (long long)json_member_int(instance, "restart_count", 0));
    auto_free char *age = age_since(json_member_string(instance, "created_at"));
    text_table_row(table, json_member_string(instance, "model_name"),
                   json_member_string(instance, "name"), state_of(instance),
                   or_dash(json_member_string(instance, "worker_name")), restarts, age,
                   or_dash(json_member_string(instance, "state_message")), NULL);
}

static bool has_instances(const json_t *instances, const char *model_name)
{
    size_t i;
    json_t *instance;
    json_array_foreach(instances, i, instance) {
        if (strcmp(json_member_string(instance, "model_name"), model_name) == 0)
            return true;
    }
    return false;
}

static void print_table(const json_t *models, const json_t *instances)
{
    struct text_table table = {0};
    static const char *const head[] = {"MODEL",    "INSTANCE", "STATE",   "WORKER",
                                       "RESTARTS", "AGE",      "MESSAGE", NULL};
    text_table_head(&table, head);
    size_t i;
    json_t *item;
    json_array_foreach(instances, i, item)
        add_instance_row(&table, item);
    json_array_foreach(models, i, item) {
        const char *name = json_member_string(item, "name");
        auto_free char *age = age_since(json_member_string(item, "created_at"));
        if (!has_instances(instances, name))
            text_table_row(&table, name, "-", "stopped", "-", "-", age, "no replicas are wanted",
                           NULL);
    }
    text_table_print(&table);
}

/* What could be done for those that wait for a place: once a model. */
static void print_ways_out(const json_t *instances)
{
    const char *told = "";
    size_t i;
    json_t *instance;
    json_array_foreach(instances, i, instance) {
        const char *name = json_member_string(instance, "model_name");
        const json_t *ways = json_object_get(json_object_get(instance, "state_args"), "ways_out");
        if (json_array_size(ways) == 0 || strcmp(told, name) == 0)
            continue;
        printf("\n%s waits for a place.\n", name);
        place_text_print_ways_out(ways, "");
        told = name;
    }
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    auto_fini(json_release) json_t *models = NULL, *instances = NULL;
    int rc = cli_list(cli, "/v2/model-instances", &instances, err);
    if (rc == 0 && cli->json)
        cli_print_json(instances);
    else if (rc == 0)
        rc = cli_list(cli, "/v2/models", &models, err);
    if (rc == 0 && !cli->json) {
        print_table(models, instances);
        print_ways_out(instances);
    }
    return rc;
}

int cmd_ps(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "ps", .arguments = "", .summary = "Lists models and their instances."};
    return cli_main(&spec, argc, argv, run, NULL);
}
