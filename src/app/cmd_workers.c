/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack workers`: the machines of the cluster, their labels and their maintenance. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>

#define USAGE "[list | label|maintain|drain|resume|rm WORKER [KEY=VALUE|KEY-]...]"

enum { FIRST_LABEL = 2 };

struct workers {
    const char *message; /* of a maintenance; NULL: none */
};

static void add_worker_row(struct text_table *table, const json_t *worker)
{
    const json_t *status = json_object_get(worker, "status");
    const json_t *memory = json_object_get(status, "memory");
    auto_free char *total = bytes_text(memory, "total");
    auto_free char *used = bytes_text(memory, "used");
    auto_free char *devices =
        mem_printf("%zu", json_array_size(json_object_get(status, "gpu_devices")));
    auto_free char *cpus = mem_printf("%lld", (long long)json_number_value(json_object_get(
                                                  json_object_get(status, "cpu"), "total")));
    auto_free char *age = age_since(json_member_string(worker, "heartbeat_time"));
    const char *message = json_member_string(worker, "state_message");
    text_table_row(table, json_member_string(worker, "name"), json_member_string(worker, "state"),
                   json_member_string(worker, "ip"), cpus, used, total, devices, age,
                   message && *message ? message : "-", NULL);
}

static int list_workers(struct cli *cli, struct err *err)
{
    static const char *const head[] = {"NAME",  "STATE",   "ADDRESS", "CPUS",    "MEMORY USED",
                                       "TOTAL", "DEVICES", "SEEN",    "MESSAGE", NULL};
    return cli_show_list(cli, "/v2/workers", head, add_worker_row, err);
}

/* ---- verbs; each gets the worker as it is ---- */

static int call(struct cli *cli, const json_t *worker, enum http_method method, json_t *changes,
                struct err *err)
{
    auto_free char *path =
        mem_printf("/v2/workers/%lld", (long long)json_member_int(worker, "id", 0));
    auto_fini(json_release) json_t *answer = NULL;
    if (changes)
        json_object_set(changes, "version", json_object_get(worker, "version"));
    int rc = cli_call(cli, method, path, changes, &answer, err);
    if (rc == 0 && cli->json)
        cli_print_json(answer ? answer : json_null());
    return rc;
}

static int read_label(json_t *labels, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    size_t len = strlen(text);
    if (equals && equals > text) {
        auto_free char *name = mem_strndup(text, (size_t)(equals - text));
        json_object_set_new(labels, name, json_string(equals + 1));
        return 0;
    }
    if (equals || len < 2 || text[len - 1] != '-')
        return cli_usage(err, "labels are given as KEY=VALUE, or KEY- to remove one, not \"%s\"",
                         text);
    auto_free char *name = mem_strndup(text, len - 1);
    json_object_del(labels, name);
    return 0;
}

static int label(struct cli *cli, const json_t *worker, const struct workers *workers,
                 struct err *err)
{
    json_t *labels = json_copy(json_object_get(worker, "labels"));
    auto_fini(json_release) json_t *changes = json_pack("{s:o}", "labels", labels);
    for (unsigned i = FIRST_LABEL; i < cli->arg_count; i++) {
        int rc = read_label(labels, cli->args[i], err);
        if (rc < 0)
            return rc;
    }
    return call(cli, worker, HTTP_PUT, changes, err);
}

static int put_maintenance(struct cli *cli, const json_t *worker, const struct workers *workers,
                           bool drains, struct err *err)
{
    auto_fini(json_release) json_t *changes =
        json_pack("{s:{s:b,s:b}}", "maintenance", "enabled", 1, "drain", (int)drains);
    if (workers->message)
        json_object_set_new(json_object_get(changes, "maintenance"), "message",
                            json_string(workers->message));
    int rc = call(cli, worker, HTTP_PUT, changes, err);
    if (rc == 0 && !cli->json)
        printf("%s takes no new instances%s.\n", json_member_string(worker, "name"),
               drains ? "; those that it has move away" : "");
    return rc;
}

static int maintain(struct cli *cli, const json_t *worker, const struct workers *workers,
                    struct err *err)
{
    return put_maintenance(cli, worker, workers, false, err);
}

static int drain(struct cli *cli, const json_t *worker, const struct workers *workers,
                 struct err *err)
{
    return put_maintenance(cli, worker, workers, true, err);
}

static int resume(struct cli *cli, const json_t *worker, const struct workers *workers,
                  struct err *err)
{
    auto_fini(json_release) json_t *changes = json_pack("{s:n}", "maintenance");
    int rc = call(cli, worker, HTTP_PUT, changes, err);
    if (rc == 0 && !cli->json)
        printf("%s takes instances again.\n", json_member_string(worker, "name"));
    return rc;
}

static int remove_worker(struct cli *cli, const json_t *worker, const struct workers *workers,
                         struct err *err)
{
    return call(cli, worker, HTTP_DELETE, NULL, err);
}

static const struct {
    const char *word;
    unsigned min_args, max_args; /* with verb and name */
    int (*run)(struct cli *cli, const json_t *worker, const struct workers *workers,
               struct err *err);
} verbs[] = {
    {"label", FIRST_LABEL + 1, 8, label}, {"maintain", 2, 2, maintain}, {"drain", 2, 2, drain},
    {"resume", 2, 2, resume},             {"rm", 2, 2, remove_worker},
};

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const char *word = cli->arg_count ? cli->args[0] : "list";
    if (strcmp(word, "list") == 0 && cli->arg_count < 2)
        return list_workers(cli, err);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(word, verbs[i].word) != 0 || cli->arg_count < verbs[i].min_args ||
            cli->arg_count > verbs[i].max_args)
            continue;
        auto_fini(json_release) json_t *worker = NULL;
        int rc = cli_find(cli, "/v2/workers", "name", cli->args[1], &worker, err);
        return rc < 0 ? rc : verbs[i].run(cli, worker, ctx, err);
    }
    return cli_usage(err, "usage: gpustack workers " USAGE);
}

int cmd_workers(int argc, char **argv)
{
    struct workers workers = {0};
    const struct cli_option options[] = {
        {.name = "message",
         .value = "TEXT",
         .help = "of maintain and drain: why, for others",
         .text = &workers.message},
        {0},
    };
    const struct cli_spec spec = {
        .command = "workers",
        .arguments = USAGE,
        .summary = "Lists the machines of the cluster, changes their labels (KEY- removes\n"
                   "one), takes them out of use (maintain: no new instances; drain: those\n"
                   "that it has move away too) and back (resume), and removes them.",
        .options = options,
        .max_args = 8};
    return cli_main(&spec, argc, argv, run, &workers);
}
