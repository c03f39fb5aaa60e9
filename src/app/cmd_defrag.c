/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack defrag --dry-run`: which moves of instances would tidy the cluster up. */
#include "app/cli.h"
#include "app/command.h"
#include "app/place_text.h"

#include <stdio.h>

struct defrag {
    bool dry_run;
};

/* "node1:0,1 node2:0,1" */
static char *places_text(const json_t *places)
{
    struct buf out = {0};
    size_t i, k;
    json_t *place, *index;
    json_array_foreach(places, i, place) {
        buf_printf(&out, "%s%s:", i ? " " : "", json_member_string(place, "worker"));
        json_array_foreach(json_object_get(place, "gpu_indexes"), k, index)
            buf_printf(&out, "%s%lld", k ? "," : "", (long long)json_integer_value(index));
    }
    return out.len ? buf_take(&out) : mem_strdup("-");
}

/* Gains may be below 0, where a move only makes room. */
static char *gain_text(const json_t *move)
{
    return mem_printf("%.1f GiB", (double)json_member_int(move, "gain_bytes", 0) / (1 << 30));
}

static char *why_text(const json_t *move)
{
    const char *enables = json_member_string(move, "enables");
    bool interrupts = json_is_true(json_object_get(move, "would_interrupt"));
    return mem_printf("%s%s%s", enables ? "makes room for " : "less is useless",
                      enables ? enables : "", interrupts ? "; would interrupt" : "");
}

static void print_moves(const json_t *moves)
{
    static const char *const head[] = {"STEP", "INSTANCE", "FROM", "TO",
                                       "GAIN", "LOADS",    "WHY",  NULL};
    struct text_table table = {0};
    text_table_head(&table, head);
    size_t i;
    json_t *move;
    json_array_foreach(moves, i, move) {
        auto_free char *step = mem_printf("%zu", i + 1);
        auto_free char *from = places_text(json_object_get(move, "from"));
        auto_free char *to = places_text(json_object_get(move, "to"));
        auto_free char *gain = gain_text(move);
        auto_free char *bytes = place_bytes_text(json_object_get(move, "load_bytes"));
        auto_free char *loads = mem_printf("%s, %lld s", bytes,
                                           (long long)json_member_int(move, "load_seconds", 0));
        auto_free char *why = why_text(move);
        text_table_row(&table, step, json_member_string(move, "instance"), from, to, gain, loads,
                       why, NULL);
    }
    text_table_print(&table);
}

static void print_plan(const json_t *plan)
{
    const json_t *moves = json_object_get(plan, "moves");
    size_t i;
    json_t *name;
    if (json_array_size(moves) == 0)
        printf("No move would help.\n");
    else
        print_moves(moves);
    json_array_foreach(json_object_get(plan, "placed"), i, name)
        printf("%s finds a place by that.\n", json_string_value(name));
    if (!json_is_true(json_object_get(plan, "is_complete")))
        printf("The cluster is too large for all possible moves to be tried.\n");
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    const struct defrag *defrag = ctx;
    auto_fini(json_release) json_t *plan = NULL;
    if (!defrag->dry_run)
        return cli_usage(err, "this version only makes plans and moves nothing: say --dry-run, then"
                              " make the moves that you want by hand");
    int rc = cli_call(cli, HTTP_GET, "/v2/rebalance-plan", NULL, &plan, err);
    if (rc == 0 && cli->json)
        cli_print_json(plan);
    else if (rc == 0)
        print_plan(plan);
    return rc;
}

int cmd_defrag(int argc, char **argv)
{
    struct defrag defrag = {0};
    const struct cli_option options[] = {
        {.name = "dry-run", .help = "show the plan (needed)", .flag = &defrag.dry_run},
        {0},
    };
    const struct cli_spec spec = {
        .command = "defrag",
        .arguments = "",
        .summary = "Shows which moves of instances would let waiting models in, or leave less of\n"
                   "the devices useless. Moves nothing.",
        .options = options};
    return cli_main(&spec, argc, argv, run, &defrag);
}
