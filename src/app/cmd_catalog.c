/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack catalog [SEARCH]`: models to deploy by name, and which of them would run here. */
#include "app/catalog_source.h"
#include "app/command.h"
#include "app/place_text.h"

#include <stdio.h>
#include <string.h>

/* "2 devices", "16 on 2 workers", or why not. Returns owned. */
static char *where_text(const json_t *fit)
{
    const json_t *reason = json_object_get(fit, "reason");
    const char *filter = json_member_string(reason, "filter");
    const long long devices = json_member_int(fit, "devices", 0);
    const long long workers = json_member_int(fit, "workers", 0);
    if (json_is_object(reason))
        return mem_strdup(filter ? filter : json_member_string(reason, "code"));
    if (devices == 0)
        return mem_strdup("processor");
    if (workers > 1)
        return mem_printf("%lld on %lld workers", devices, workers);
    return mem_printf("%lld device%s", devices, devices == 1 ? "" : "s");
}

static const char *fit_text(const json_t *fit)
{
    const char *word = json_member_string(fit, "fit");
    if (!word || strcmp(word, "no") != 0)
        return word && strcmp(word, "fits_partly") == 0 ? "partly" : "fits";
    return json_is_true(json_object_get(fit, "fits_empty_cluster")) ? "when empty" : "no";
}

static void add_row(struct text_table *table, const json_t *set, const json_t *spec)
{
    const json_t *fit = json_object_get(spec, "fit");
    const json_t *claim = json_object_get(fit, "resource_claim");
    const bool has_devices = json_member_int(fit, "devices", 0) > 0;
    auto_free char *size = mem_printf(
        "%gB", json_number_value(json_array_get(json_object_get(set, "sizes"), 0)));
    const bool is_gguf = strcmp(json_member_string(spec, "format"), "gguf") == 0;
    auto_free char *precision = mem_printf("%s%s", json_member_string(spec, "quantization"),
                                           is_gguf ? " gguf" : "");
    auto_free char *where = where_text(fit);
    auto_free char *needs = place_bytes_text(json_object_get(claim, has_devices ? "vram" : "ram"));
    auto_free char *replicas =
        mem_printf("%lld", (long long)json_member_int(fit, "replicas", 0));
    text_table_row(table, json_member_string(set, "name"), size,
                   precision, fit_text(fit), where, needs, replicas, NULL);
}

static void print_table(const json_t *sets)
{
    static const char *const head[] = {"NAME", "SIZE",  "PRECISION", "FIT", "DEVICES",
                                       "NEEDS", "REPLICAS", NULL};
    struct text_table table = {0};
    size_t i, k;
    json_t *set, *spec;
    text_table_head(&table, head);
    json_array_foreach(sets, i, set)
        json_array_foreach(json_object_get(set, "specs"), k, spec)
            add_row(&table, set, spec);
    text_table_print(&table);
}

static int run(struct cli *cli, void *ctx, struct err *err)
{
    auto_fini(json_release) json_t *sets = NULL;
    int rc = catalog_source_list(cli, cli->arg_count ? cli->args[0] : NULL, &sets, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        cli_print_json(sets);
    else
        print_table(sets);
    return 0;
}

int cmd_catalog(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "catalog",
        .arguments = "[SEARCH]",
        .summary = "Lists the models that come with the server, one row for each way to deploy\n"
                   "them, and whether this cluster could run them now. `gpustack deploy NAME` or\n"
                   "NAME:PRECISION deploys one.",
        .max_args = 1};
    return cli_main(&spec, argc, argv, run, NULL);
}
