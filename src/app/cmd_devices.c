/* SPDX-License-Identifier: Apache-2.0 */
/* `gpustack devices`: the accelerators of all workers. */
#include "app/cli.h"
#include "app/command.h"
#include "app/instances.h"
#include "app/text_table.h"

static void add_device_row(struct text_table *table, const json_t *device)
{
    const json_t *memory = json_object_get(device, "memory");
    const json_t *core = json_object_get(device, "core");
    auto_free char *total = bytes_text(memory, "total");
    auto_free char *used = bytes_text(memory, "used");
    auto_free char *allocated = bytes_text(memory, "allocated");
    const json_t *load = json_object_get(core, "utilization_rate");
    auto_free char *busy =
        json_is_number(load) ? mem_printf("%.0f%%", json_number_value(load)) : mem_strdup("-");
    text_table_row(table, json_member_string(device, "id"), json_member_string(device, "vendor"),
                   json_member_string(device, "name"), used, allocated, total, busy, NULL);
}

static int run_devices(struct cli *cli, void *ctx, struct err *err)
{
    static const char *const head[] = {"DEVICE",    "VENDOR", "NAME", "MEMORY USED",
                                       "ALLOCATED", "TOTAL",  "BUSY", NULL};
    return cli_show_list(cli, "/v2/gpu-devices", head, add_device_row, err);
}

int cmd_devices(int argc, char **argv)
{
    static const struct cli_spec spec = {
        .command = "devices", .arguments = "", .summary = "Lists the accelerators of all workers."};
    return cli_main(&spec, argc, argv, run_devices, NULL);
}
