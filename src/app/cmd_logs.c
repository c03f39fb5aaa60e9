/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack logs INSTANCE`: what an engine has printed. */
#include "app/cli.h"
#include "app/command.h"
#include "base/num.h"

#include <stdio.h>

enum { TAIL_MAX = 100000, RUN_MAX = 1000000 };

/* By the instance's name, its id, or the name of a model that has one instance. */
static int find_instance(struct cli *cli, const char *word, int64_t *ret, struct err *err)
{
    auto_fini(json_release) json_t *items = NULL;
    int rc = cli_list(cli, "/v2/model-instances", &items, err);
    if (rc < 0)
        return rc;
    int of_model = 0;
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item) {
        int64_t id = json_member_int(item, "id", 0), asked;
        bool by_id = num_parse_i64(str_of(word), 1, INT64_MAX, &asked) == 0 && asked == id;
        if (by_id || strcmp(json_member_string(item, "name"), word) == 0) {
            *ret = id;
            return 0;
        }
        if (strcmp(json_member_string(item, "model_name"), word) == 0) {
            of_model++;
            *ret = id;
        }
    }
    if (of_model == 1)
        return 0;
    if (of_model > 1)
        return cli_usage(err, "%s has %d instances; name one of them (gpustack ps)", word,
                         of_model);
    return err_set(err, ERR_NOT_FOUND, "there is no instance \"%s\"", word);
}

static void print_data(struct str data, void *ctx)
{
    fwrite(data.ptr, 1, data.len, stdout);
    fflush(stdout);
}

struct logs {
    bool follow, runs;
    const char *tail, *run;
};

static int check_number(const char *option, const char *text, int64_t max, struct err *err)
{
    int64_t value;
    if (text && num_parse_i64(str_of(text), 0, max, &value) < 0)
        return cli_usage(err, "--%s must be 0-%lld, not %s", option, (long long)max, text);
    return 0;
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct logs *logs = ctx;
    int64_t id = 0;
    int rc = check_number("tail", logs->tail, TAIL_MAX, err);
    if (rc == 0)
        rc = check_number("run", logs->run, RUN_MAX, err);
    if (rc == 0)
        rc = find_instance(cli, cli->args[0], &id, err);
    if (rc < 0)
        return rc;
    if (logs->runs) {
        auto_free char *path = mem_printf("/v2/model-instances/%lld/log-options", (long long)id);
        auto_fini(json_release) json_t *options = NULL;
        rc = cli_call(cli, HTTP_GET, path, NULL, &options, err);
        if (rc == 0)
            cli_print_json(options);
        return rc;
    }
    auto_free char *path = mem_printf("/v2/model-instances/%lld/logs?follow=%s%s%s%s%s",
                                      (long long)id, logs->follow ? "true" : "false",
                                      logs->tail ? "&tail=" : "", logs->tail ? logs->tail : "",
                                      logs->run ? "&run=" : "", logs->run ? logs->run : "");
    return cli_stream(cli, HTTP_GET, path, NULL, print_data, NULL, err);
}

int cmd_logs(int argc, char **argv)
{
    struct logs logs = {0};
    const struct cli_option options[] = {
        {.name = "follow", .letter = 'f', .help = "go on as the log grows", .flag = &logs.follow},
        {.name = "tail",
         .letter = 'n',
         .value = "N",
         .help = "the last N lines only",
         .text = &logs.tail},
        {.name = "run",
         .value = "N",
         .help = "an earlier run (default: the latest)",
         .text = &logs.run},
        {.name = "runs", .help = "list the runs that are kept", .flag = &logs.runs},
        {0},
    };
    const struct cli_spec spec = {.command = "logs",
                                  .arguments = "INSTANCE",
                                  .summary = "Prints what an instance's engine has written.",
                                  .options = options,
                                  .min_args = 1,
                                  .max_args = 1};
    return cli_main(&spec, argc, argv, run, &logs);
}
