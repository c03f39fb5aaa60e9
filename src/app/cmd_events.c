/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack events`: what happened to models, instances and workers. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"

static void add_row(struct text_table *table, const json_t *event)
{
    auto_free char *age = age_since(json_member_string(event, "last_at"));
    auto_free char *count = mem_printf("%lld", (long long)json_member_int(event, "count", 0));
    const char *name = json_member_string(event, "object_name");
    const char *message = json_member_string(event, "message");
    text_table_row(table, age, json_member_string(event, "type"),
                   json_member_string(event, "object_kind"), name ? name : "-",
                   json_member_string(event, "reason"), count, message ? message : "", NULL);
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    static const char *const head[] = {"AGE",    "TYPE",  "OBJECT",  "NAME",
                                       "REASON", "COUNT", "MESSAGE", NULL};
    /* The latest at the end, where a terminal shows it. */
    auto_free char *path =
        cli->arg_count ? mem_printf("/v2/events?sort_by=last_at&search=%s", cli->args[0])
                       : mem_strdup("/v2/events?sort_by=last_at");
    return cli_show_list(cli, path, head, add_row, err);
}

int cmd_events(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "events",
        .arguments = "[NAME]",
        .summary = "Lists what happened to models, instances and workers, the latest last; with\n"
                   "NAME, only to those whose name has it as a part.",
        .max_args = 1};
    return cli_main(&spec, argc, argv, run, NULL);
}
